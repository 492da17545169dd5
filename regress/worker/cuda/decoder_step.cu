// What a decode step does between the attention of one layer and that of the next, in one kernel:
// output projection + residual | normalise, gate and up, silu | down projection + residual | normalise, next matrix.
//
// A grid of no more blocks than the device holds at once goes through all four products. Between two of them it waits
// for all of its blocks, with the first weights of the next product on their way. As four kernels, the same work would
// need three launches more from the host for each layer.

#ifndef REGRESS_DECODER_STEP
#define REGRESS_DECODER_STEP

// Cycles after which a block that waits ends the kernel with an error: some of the grid does not run.
#define STEP_PATIENCE 4000000000ll
#define STEP_BARRIERS 3

// Waits for every block of the grid to have arrived.
struct StepBarrier {
  unsigned int* arrived;

  __device__ __forceinline__ void arrive() const {
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();
      atomicAdd(arrived, 1u);
    }
  }

  __device__ __forceinline__ void operator()() const {
    if (threadIdx.x == 0) {
      const long long began = clock64();
      unsigned int seen;
      do {
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(arrived) : "memory");
        if (clock64() - began > STEP_PATIENCE) __trap();
      } while (seen < gridDim.x);
    }
    __syncthreads();
  }
};

struct StepStart {
  __device__ __forceinline__ void operator()() const {}
};

// Rows that a warp takes at once: eight loads of 16 bytes are in flight, also where a row has only two for a lane.
__device__ constexpr int step_rows(int columns) { return columns <= 2048 ? 4 : 2; }

__device__ constexpr int step_widest(int a, int b, int c) { return a > b ? (a > c ? a : c) : (b > c ? b : c); }

// Zeros for the barriers of the kernel that comes next.
__device__ __forceinline__ void step_prepare(unsigned int* arrived) {
  if (blockIdx.x == 0 && threadIdx.x < STEP_BARRIERS) arrived[threadIdx.x] = 0;
}

// The product with the first layer's matrix: `next` (NEXT) of `hidden` (HIDDEN) normalised, `bias` added where BIAS;
// and the zeros of `arrived`. Grid: any number of blocks of THREADS.
template <int THREADS, int HIDDEN, int NEXT, bool BIAS>
__device__ __forceinline__ void decoder_entry(const half* hidden, const half* norm, const unsigned int* words,
                                              const half* scales, const half* bias, float epsilon, half* next,
                                              unsigned int* arrived) {
  constexpr int rows = step_rows(HIDDEN);
  __shared__ uint4 staged[HIDDEN / 8];
  q4_gemv<THREADS, NEXT, HIDDEN, rows, 8 / rows, true, false, BIAS, half>(hidden, norm, epsilon, words, scales, bias,
                                                                          next, StepStart{}, staged);
  step_prepare(arrived);
}

// `mixed` (MIXED) is what attention found, `hidden` (HIDDEN) the residual stream; `arrived` zeros that the kernel
// before left, `to_arrive` those for the next; `between` (HIDDEN) and `active` (INNER) scratch; `result` the residual
// stream after the layer; `next` (NEXT) the product of the normalised result and the next matrix, `bias` added where
// BIAS. Grid: at most as many blocks of THREADS as the device holds at once.
template <int THREADS, int HIDDEN, int MIXED, int INNER, int NEXT, bool BIAS, typename OUT>
__device__ __forceinline__ void decoder_step(
    const half* mixed, const half* hidden, const unsigned int* out_words, const half* out_scales,
    const half* after_norm, const unsigned int* gate_up_words, const half* gate_up_scales,
    const unsigned int* down_words, const half* down_scales, const half* next_norm, const unsigned int* next_words,
    const half* next_scales, const half* bias, float epsilon, unsigned int* arrived, half* between, half* active,
    half* result, OUT* next, unsigned int* to_arrive) {
  constexpr int o = step_rows(MIXED), h = step_rows(HIDDEN), i = step_rows(INNER);
  __shared__ uint4 staged[step_widest(HIDDEN, MIXED, INNER) / 8];
  const StepBarrier first{arrived}, second{arrived + 1}, third{arrived + 2};
  q4_gemv<THREADS, HIDDEN, MIXED, o, 8 / o, false, false, true, half>(mixed, mixed, epsilon, out_words, out_scales,
                                                                      hidden, between, StepStart{}, staged);
  first.arrive();
  q4_gemv<THREADS, 2 * INNER, HIDDEN, h, 8 / h, true, true, false, half>(
      between, after_norm, epsilon, gate_up_words, gate_up_scales, between, active, first, staged);
  second.arrive();
  q4_gemv<THREADS, HIDDEN, INNER, i, 8 / i, false, false, true, half>(active, active, epsilon, down_words, down_scales,
                                                                      between, result, second, staged);
  third.arrive();
  q4_gemv<THREADS, NEXT, HIDDEN, h, 8 / h, true, false, BIAS, OUT>(result, next_norm, epsilon, next_words, next_scales,
                                                                   bias, next, third, staged);
  step_prepare(to_arrive);
}

#endif  // REGRESS_DECODER_STEP
