// One token times a group-quantized matrix (q4f16_1: eight 4-bit values in a word, one scale for 32 of them).
//
// A decode step reads every weight once, so memory is the limit as long as unpacking stays cheap. A warp takes ROWS
// rows at once and a lane 16 bytes of each, a whole group of 32 weights, with several loads in flight before the
// token's own vector is there. Two weights become two half numbers by one logical operation: or-ing a nibble into the
// mantissa of 1024 gives 1024 + q (or 1024 + 16 q for the nibble above it). What is multiplied is (q - 7) / 16, exact
// in half precision and small enough that sums of 16 products with activations up to 8,000 stay in half's range; they
// go to float32 with the group's scale.
//
// The token's vector lies in shared memory in the order in which nibbles come out of a word, 0 4 1 5 2 6 3 7.

#ifndef REGRESS_GEMV_Q4
#define REGRESS_GEMV_Q4

__device__ __forceinline__ uint4 q4_load_once(const uint4* address) {
  uint4 value;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(address));
  return value;
}

// A load that stays where it is: hoisted out of the loop over rows, the vector would take 64 registers of each thread.
__device__ __forceinline__ uint4 q4_staged(const uint4* address) {
  uint4 value;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "r"((unsigned int)__cvta_generic_to_shared(address)));
  return value;
}

__device__ __forceinline__ half2 q4_half2(unsigned int bits) { return *reinterpret_cast<half2*>(&bits); }

__device__ __forceinline__ unsigned int q4_bits(half2 value) { return *reinterpret_cast<unsigned int*>(&value); }

// (q - 7) / 16 for the nibbles at bits 0 and 16 (low) or 4 and 20 (high) of a word.
__device__ __forceinline__ half2 q4_low(unsigned int word) {
  const half2 sixteenth = q4_half2(0x2c002c00), minus = q4_half2(0xd407d407);  // 1/16, -1031/16
  return __hfma2(q4_half2((word & 0x000f000fu) | 0x64006400u), sixteenth, minus);
}

__device__ __forceinline__ half2 q4_high(unsigned int word) {
  const half2 part = q4_half2(0x1c001c00), minus = q4_half2(0xc470c470);  // 1/256, -1136/256
  return __hfma2(q4_half2((word & 0x00f000f0u) | 0x64006400u), part, minus);
}

// Sum over eight weights of one word, as two half sums.
__device__ __forceinline__ half2 q4_word(unsigned int word, uint4 x, half2 sum) {
  sum = __hfma2(q4_low(word), q4_half2(x.x), sum);
  sum = __hfma2(q4_high(word), q4_half2(x.y), sum);
  word >>= 8;
  sum = __hfma2(q4_low(word), q4_half2(x.z), sum);
  return __hfma2(q4_high(word), q4_half2(x.w), sum);
}

__device__ __forceinline__ float q4_group(uint4 words, const uint4 (&x)[4]) {
  const half2 zero = q4_half2(0);
  const half2 first = q4_word(words.y, x[1], q4_word(words.x, x[0], zero));
  const half2 second = q4_word(words.w, x[3], q4_word(words.z, x[2], zero));
  const float2 a = __half22float2(first), b = __half22float2(second);
  return (a.x + a.y) + (b.x + b.y);
}

// Eight values of x, in the order of a word's nibbles.
__device__ __forceinline__ uint4 q4_permuted(uint4 x) {
  return make_uint4(__byte_perm(x.x, x.z, 0x5410), __byte_perm(x.x, x.z, 0x7632), __byte_perm(x.y, x.w, 0x5410),
                    __byte_perm(x.y, x.w, 0x7632));
}

__device__ __forceinline__ float q4_sum_of_squares(uint4 x) {
  const float2 a = __half22float2(q4_half2(x.x)), b = __half22float2(q4_half2(x.y));
  const float2 c = __half22float2(q4_half2(x.z)), d = __half22float2(q4_half2(x.w));
  return a.x * a.x + a.y * a.y + b.x * b.x + b.y * b.y + c.x * c.x + c.y * c.y + d.x * d.x + d.y * d.y;
}

__device__ __forceinline__ unsigned int q4_scaled(unsigned int x, unsigned int weight, float factor) {
  const float2 value = __half22float2(q4_half2(x)), by = __half22float2(q4_half2(weight));
  return q4_bits(__floats2half2_rn(value.x * factor * by.x, value.y * factor * by.y));
}

__device__ __forceinline__ float q4_warp_sum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

// The token's vector into shared memory: chunk j of group g at [j * groups + g], so that neighbouring lanes read
// neighbouring addresses; normalised by its root mean square where NORM.
template <int THREADS, int K, bool NORM>
__device__ __forceinline__ void q4_stage(uint4* staged, const half* x, const half* norm_weight, float epsilon) {
  constexpr int groups = K / 32, chunks = K / 8, each = (chunks + THREADS - 1) / THREADS;
  const uint4* source = reinterpret_cast<const uint4*>(x);  // read past L1, where it may have been another layer's
  if (!NORM) {
#pragma unroll
    for (int i = 0; i < each; ++i) {
      const int chunk = i * THREADS + threadIdx.x;
      if (chunk < chunks) staged[(chunk % 4) * groups + chunk / 4] = q4_permuted(__ldcg(source + chunk));
    }
    __syncthreads();
    return;
  }
  __shared__ float of_warp[32];
  uint4 values[each], weights[each];
  float squares = 0;
#pragma unroll
  for (int i = 0; i < each; ++i) {
    const int chunk = i * THREADS + threadIdx.x;
    values[i] = weights[i] = make_uint4(0, 0, 0, 0);
    if (chunk < chunks) {
      values[i] = __ldcg(source + chunk);
      weights[i] = reinterpret_cast<const uint4*>(norm_weight)[chunk];
    }
    squares += q4_sum_of_squares(values[i]);
  }
  squares = q4_warp_sum(squares);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = squares;
  __syncthreads();
  float total = 0;
#pragma unroll
  for (int warp = 0; warp < THREADS / 32; ++warp) total += of_warp[warp];
  const float factor = rsqrtf(total / K + epsilon);
#pragma unroll
  for (int i = 0; i < each; ++i) {
    const int chunk = i * THREADS + threadIdx.x;
    const uint4 v = values[i], w = weights[i];
    const uint4 scaled = make_uint4(q4_scaled(v.x, w.x, factor), q4_scaled(v.y, w.y, factor),
                                    q4_scaled(v.z, w.z, factor), q4_scaled(v.w, w.w, factor));
    if (chunk < chunks) staged[(chunk % 4) * groups + chunk / 4] = q4_permuted(scaled);
  }
  __syncthreads();
}

__device__ __forceinline__ void q4_store(half* y, float value) { *y = __float2half_rn(value); }
__device__ __forceinline__ void q4_store(float* y, float value) { *y = value; }

// The matrix row that is number r of a set.
template <int N, int ROWS, bool GATED>
__device__ __forceinline__ int q4_row(int set, int r) {
  return GATED ? set * (ROWS / 2) + r / 2 + (r % 2) * (N / 2) : set * ROWS + r;
}

// Words and scales of a set's rows at one step, for one lane.
template <int ROWS>
struct Q4Step {
  uint4 words[ROWS];
  half2 scales[(ROWS + 1) / 2];
};

template <int N, int ROWS, bool GATED>
__device__ __forceinline__ void q4_load(Q4Step<ROWS>& step, const uint4* words, const half* scales, int set,
                                        int groups, int group) {
  half scale[2] = {__ushort_as_half(0), __ushort_as_half(0)};
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const int at = q4_row<N, ROWS, GATED>(set, r) * groups + group;
    step.words[r] = q4_load_once(words + at);
    scale[r % 2] = scales[at];
    step.scales[r / 2] = __halves2half2(scale[0], scale[1]);
  }
}

// y[n] = sum_k x[k] W[n, k], of N rows; x is first normalised where NORM. Where GATED, the matrix holds gate rows and
// then as many up rows, and y[n] = silu(gate n) * (up n). `addend` (a bias or the residual) is added where ADD.
// A warp goes from one set of ROWS rows to the next. What a step has consumed, a load replaces at once: of a later
// step, or, where a row takes no more than IN_FLIGHT steps, of the next set.
// Grid: any number of blocks of THREADS. `wait` returns when x and addend may be read; `staged` is shared memory for K
// half numbers.
template <int THREADS, int N, int K, int ROWS, int IN_FLIGHT, bool NORM, bool GATED, bool ADD, typename OUT,
          typename WAIT>
__device__ __forceinline__ void q4_gemv(const half* x, const half* norm_weight, float epsilon,
                                        const unsigned int* words, const half* scales, const half* addend, OUT* y,
                                        WAIT wait, uint4* staged) {
  constexpr int groups = K / 32, steps = (groups + 31) / 32, sets = N / ROWS;
  static_assert(N % ROWS == 0 && K % 32 == 0, "whole sets of rows, whole groups");
  constexpr int ahead = steps < IN_FLIGHT ? steps : IN_FLIGHT;
  constexpr int outputs = GATED ? ROWS / 2 : ROWS;
  const int lane = threadIdx.x % 32, warps = gridDim.x * (THREADS / 32);
  const uint4* all_words = reinterpret_cast<const uint4*>(words);
  Q4Step<ROWS> loaded[ahead] = {};
  int set = blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
#pragma unroll
  for (int s = 0; s < ahead; ++s) {
    if (set < sets && s * 32 + lane < groups)
      q4_load<N, ROWS, GATED>(loaded[s], all_words, scales, set, groups, s * 32 + lane);
  }
  wait();
  q4_stage<THREADS, K, NORM>(staged, x, norm_weight, epsilon);
  for (; set < sets; set += warps) {
    float sum[ROWS] = {};
#pragma unroll
    for (int s = 0; s < steps; ++s) {
      const int group = s * 32 + lane, next = group + ahead * 32;
      uint4 values[4];
#pragma unroll
      for (int j = 0; j < 4; ++j)
        values[j] = group < groups ? q4_staged(staged + j * groups + group) : make_uint4(0, 0, 0, 0);
      Q4Step<ROWS>& step = loaded[s % ahead];
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        const half2 scale = step.scales[r / 2];
        sum[r] += __half2float(r % 2 ? __high2half(scale) : __low2half(scale)) * q4_group(step.words[r], values);
      }
      if (ahead == steps) {
        if (set + warps < sets && group < groups)
          q4_load<N, ROWS, GATED>(step, all_words, scales, set + warps, groups, group);
      } else if (next < groups) {
        q4_load<N, ROWS, GATED>(step, all_words, scales, set, groups, next);
      }
    }
#pragma unroll
    for (int r = 0; r < ROWS; ++r) sum[r] = 16.0f * q4_warp_sum(sum[r]);
    if (lane < outputs) {
      float value = 0;
#pragma unroll
      for (int o = 0; o < outputs; ++o) {
        if (lane == o) value = GATED ? sum[2 * o] / (1.0f + __expf(-sum[2 * o])) * sum[2 * o + 1] : sum[o];
      }
      const int row = set * outputs + lane;
      if (ADD) value += __half2float(__ldcg(addend + row));
      q4_store(y + row, value);
    }
    if (ahead < steps && set + warps < sets) {
#pragma unroll
      for (int s = 0; s < ahead; ++s)
        q4_load<N, ROWS, GATED>(loaded[s], all_words, scales, set + warps, groups, s * 32 + lane);
    }
  }
}

#endif  // REGRESS_GEMV_Q4
