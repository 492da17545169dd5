// Attention of a whole prompt on tensor cores: tiles of keys and values meet a block's queries, and the softmax is kept
// up to date as they come (online softmax: Milakov and Gimelshein 2018; tiling: Dao et al. 2022, FlashAttention).
//
// A warp has 16 queries, whose scores, probabilities and sums stay in registers: what mma.m16n8k16 leaves as scores
// has the layout in which it takes the probabilities. Keys and values come to shared memory by asynchronous copies, the
// next ones while the present ones are multiplied; 16-byte chunks are swizzled by the row, so that eight rows of a
// chunk lie in different banks.

#ifndef REGRESS_ATTENTION_PREFILL
#define REGRESS_ATTENTION_PREFILL

#define AP_WARPS 8
#define AP_THREADS 256
#define AP_ROWS 128
#define AP_KEYS 64
#define AP_NONE -5e4f

__device__ __forceinline__ unsigned int ap_shared(const void* address) {
  return static_cast<unsigned int>(__cvta_generic_to_shared(address));
}

// Offset, in halves, of a 16-byte chunk of a row.
template <int D>
__device__ __forceinline__ int ap_at(int row, int chunk) {
  return row * D + ((chunk ^ (row & 7)) * 8);
}

__device__ __forceinline__ void ap_copy(half* to, const half* from, bool there) {
  const int bytes = there ? 16 : 0;  // the rest is filled with zeros
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(ap_shared(to)), "l"(from), "r"(bytes));
}

__device__ __forceinline__ void ap_commit() { asm volatile("cp.async.commit_group;" ::); }
__device__ __forceinline__ void ap_wait() { asm volatile("cp.async.wait_group 0;" ::: "memory"); }

__device__ __forceinline__ void ap_matrices(unsigned int (&r)[4], const half* address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(ap_shared(address)));
}

__device__ __forceinline__ void ap_matrices_transposed(unsigned int (&r)[4], const half* address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(ap_shared(address)));
}

__device__ __forceinline__ void ap_mma(float (&c)[4], const unsigned int (&a)[4], unsigned int b0, unsigned int b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ unsigned int ap_pair(float low, float high) {
  const half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const unsigned int*>(&pair);
}

// `rows` rows of D halves to shared memory; those from `limit` on are zeros.
template <int D>
__device__ __forceinline__ void ap_load(half* tile, const half* from, long long stride, int rows, int limit) {
  constexpr int chunks = D / 8;
  for (int index = threadIdx.x; index < rows * chunks; index += AP_THREADS) {
    const int row = index / chunks, chunk = index % chunks;
    const bool there = row < limit;
    ap_copy(tile + ap_at<D>(row, chunk), from + (there ? row * stride : 0) + chunk * 8, there);
  }
  ap_commit();
}

// Attention of every sequence over its own new tokens. Grid: (query tiles of the longest prompt, H_Q, sequences)
// blocks of AP_THREADS; q and output are (tokens, H_Q, D), k and v (tokens, H_KV, D), lse (tokens, H_Q).
template <int H_Q, int H_KV, int D>
__device__ __forceinline__ void ap_prefill(const half* q, const int* q_indptr, const half* k, const half* v,
                                           const int* kv_indptr, half* output, float* lse, int causal,
                                           float sm_scale) {
  constexpr int k_steps = D / 16, n_blocks = AP_KEYS / 8, d_blocks = D / 8;
  __shared__ __align__(16) half tiles[AP_ROWS * D];  // the queries first, then keys and values
  half* key_tile = tiles;
  half* value_tile = tiles + AP_KEYS * D;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, head = blockIdx.y, sequence = blockIdx.z;
  const int q_begin = q_indptr[sequence], q_length = q_indptr[sequence + 1] - q_begin;
  const int kv_begin = kv_indptr[sequence], kv_length = kv_indptr[sequence + 1] - kv_begin;
  // The last tiles see the most keys: they begin first.
  const int first = ((int)gridDim.x - 1 - (int)blockIdx.x) * AP_ROWS;
  if (first >= q_length) return;
  const int shift = kv_length - q_length;  // a query sees the keys up to its own number plus this

  unsigned int query[k_steps][4];
  ap_load<D>(tiles, q + ((long long)(q_begin + first) * H_Q + head) * D, (long long)H_Q * D, AP_ROWS,
             q_length - first);
  ap_wait();
  __syncthreads();
#pragma unroll
  for (int s = 0; s < k_steps; ++s)
    ap_matrices(query[s], tiles + ap_at<D>(warp * 16 + lane % 16, s * 2 + lane / 16));
  __syncthreads();

  const half* keys = k + ((long long)kv_begin * H_KV + head / (H_Q / H_KV)) * D;
  const half* values = v + ((long long)kv_begin * H_KV + head / (H_Q / H_KV)) * D;
  const long long stride = (long long)H_KV * D;
  const int seen = causal ? min(kv_length, first + AP_ROWS + shift) : kv_length;
  const int row = first + warp * 16 + lane / 4;  // and row + 8
  const float scale = sm_scale * 1.44269504f;
  float out[d_blocks][4] = {}, m[2] = {AP_NONE, AP_NONE}, d[2] = {0, 0};
  ap_load<D>(key_tile, keys, stride, AP_KEYS, kv_length);
  for (int start = 0; start < seen; start += AP_KEYS) {
    ap_wait();
    __syncthreads();
    ap_load<D>(value_tile, values + start * stride, stride, AP_KEYS, kv_length - start);
    float score[n_blocks][4] = {};
#pragma unroll
    for (int s = 0; s < k_steps; ++s) {
#pragma unroll
      for (int n = 0; n < n_blocks; n += 2) {
        unsigned int b[4];
        ap_matrices(b, key_tile + ap_at<D>(n * 8 + lane % 8 + lane / 16 * 8, s * 2 + lane / 8 % 2));
        ap_mma(score[n], query[s], b[0], b[1]);
        ap_mma(score[n + 1], query[s], b[2], b[3]);
      }
    }
    const bool masked = start + AP_KEYS > kv_length || (causal && start + AP_KEYS > first + warp * 16 + shift);
#pragma unroll
    for (int half_row = 0; half_row < 2; ++half_row) {
      const int limit = causal ? min(kv_length, row + half_row * 8 + shift + 1) : kv_length;
      float top = m[half_row];
#pragma unroll
      for (int n = 0; n < n_blocks; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& value = score[n][half_row * 2 + i];
          value *= scale;
          if (masked && start + n * 8 + lane % 4 * 2 + i >= limit) value = AP_NONE;
          top = fmaxf(top, value);
        }
      }
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
      const float shrink = exp2f(m[half_row] - top);
      float total = 0;
#pragma unroll
      for (int n = 0; n < n_blocks; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& value = score[n][half_row * 2 + i];
          value = exp2f(value - top);
          total += value;
        }
      }
      m[half_row] = top;
      d[half_row] = d[half_row] * shrink + total;
#pragma unroll
      for (int n = 0; n < d_blocks; ++n) {
        out[n][half_row * 2] *= shrink;
        out[n][half_row * 2 + 1] *= shrink;
      }
    }
    ap_wait();
    __syncthreads();
    if (start + AP_KEYS < seen)
      ap_load<D>(key_tile, keys + (start + AP_KEYS) * stride, stride, AP_KEYS, kv_length - start - AP_KEYS);
#pragma unroll
    for (int s = 0; s < AP_KEYS / 16; ++s) {
      const unsigned int p[4] = {ap_pair(score[2 * s][0], score[2 * s][1]), ap_pair(score[2 * s][2], score[2 * s][3]),
                                 ap_pair(score[2 * s + 1][0], score[2 * s + 1][1]),
                                 ap_pair(score[2 * s + 1][2], score[2 * s + 1][3])};
#pragma unroll
      for (int n = 0; n < d_blocks; n += 2) {
        unsigned int b[4];
        ap_matrices_transposed(b, value_tile + ap_at<D>(s * 16 + lane % 16, n + lane / 16));
        ap_mma(out[n], p, b[0], b[1]);
        ap_mma(out[n + 1], p, b[2], b[3]);
      }
    }
  }
#pragma unroll
  for (int half_row = 0; half_row < 2; ++half_row) {
    d[half_row] += __shfl_xor_sync(0xffffffffu, d[half_row], 1);
    d[half_row] += __shfl_xor_sync(0xffffffffu, d[half_row], 2);
    const int mine = row + half_row * 8;
    if (mine >= q_length) continue;
    const long long at = (long long)(q_begin + mine) * H_Q + head;
#pragma unroll
    for (int n = 0; n < d_blocks; ++n) {
      *reinterpret_cast<unsigned int*>(output + at * D + n * 8 + lane % 4 * 2) =
          ap_pair(out[n][half_row * 2] / d[half_row], out[n][half_row * 2 + 1] / d[half_row]);
    }
    if (lane % 4 == 0) lse[at] = m[half_row] + log2f(d[half_row]);
  }
}

#endif  // REGRESS_ATTENTION_PREFILL
