// Attention of one new token over the paged KV cache, split along the sequence.
//
// A block takes some pages of one key-value head and all query heads that share it; a warp takes a page at a time, a
// lane 16 bytes of a key and of a value. Each block leaves its softmax state and its sum; a second kernel merges
// them. Where there is only one split, the block writes the result itself and the second kernel does not run.
// Pages: (pages, 2, kv heads, 16 tokens, D) half; scores are in units of log2(e), as TVM's own kernels have them.

#ifndef REGRESS_ATTENTION_DECODE
#define REGRESS_ATTENTION_DECODE

#define AD_PAGE 16
#define AD_NONE -5e4f

__device__ __forceinline__ void ad_unpack(uint4 packed, float (&values)[8]) {
  const unsigned int words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(*reinterpret_cast<const half2*>(&words[i]));
    values[2 * i] = pair.x;
    values[2 * i + 1] = pair.y;
  }
}

__device__ __forceinline__ uint4 ad_pack(const float (&values)[8]) {
  unsigned int words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const half2 pair = __floats2half2_rn(values[2 * i], values[2 * i + 1]);
    words[i] = *reinterpret_cast<const unsigned int*>(&pair);
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

__device__ __forceinline__ uint4 ad_load(const half* address) { return *reinterpret_cast<const uint4*>(address); }

// Softmax state and weighted sum of one split: out of partial[(batch * splits + split) * H_Q + head] come D sums,
// the largest score and the sum of exponentials.
// Grid: (H_KV, splits, batch) blocks of THREADS.
template <int THREADS, int H_Q, int H_KV, int D>
__device__ __forceinline__ void ad_split(const half* q, const half* pages, const int* page_indptr,
                                         const int* page_values, const int* last_page_len, int pages_per_split,
                                         float sm_scale, float* partial, half* output, float* lse) {
  constexpr int warps = THREADS / 32, heads = H_Q / H_KV, lanes = D / 8, tokens = 32 / lanes, steps = AD_PAGE / tokens;
  __shared__ float sums[warps][heads][D];
  __shared__ float largest[warps][heads], weight[warps][heads];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, kv_head = blockIdx.x, batch = blockIdx.z;
  const int part = lane % lanes, slot = lane / lanes;
  const int splits = gridDim.y, begin = page_indptr[batch], count = page_indptr[batch + 1] - begin;
  const int length = count > 0 ? (count - 1) * AD_PAGE + last_page_len[batch] : 0;
  const int page_end = min(count, (int)(blockIdx.y + 1) * pages_per_split);

  float query[heads][8], out[heads][8], m[heads], d[heads];
#pragma unroll
  for (int h = 0; h < heads; ++h) {
    ad_unpack(ad_load(q + ((long long)batch * H_Q + kv_head * heads + h) * D + part * 8), query[h]);
    m[h] = AD_NONE;
    d[h] = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      query[h][i] *= sm_scale * 1.44269504f;
      out[h][i] = 0;
    }
  }
  for (int page = blockIdx.y * pages_per_split + warp; page < page_end; page += warps) {
    const half* keys = pages + ((long long)page_values[begin + page] * 2 * H_KV + kv_head) * AD_PAGE * D;
    const half* values = keys + H_KV * AD_PAGE * D;
    uint4 key[steps], value[steps];
#pragma unroll
    for (int s = 0; s < steps; ++s) key[s] = ad_load(keys + (s * tokens + slot) * D + part * 8);
#pragma unroll
    for (int s = 0; s < steps; ++s) value[s] = ad_load(values + (s * tokens + slot) * D + part * 8);
    float score[heads][steps];
#pragma unroll
    for (int s = 0; s < steps; ++s) {
      float k[8];
      ad_unpack(key[s], k);
      const bool there = page * AD_PAGE + s * tokens + slot < length;
#pragma unroll
      for (int h = 0; h < heads; ++h) {
        float dot = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) dot += query[h][i] * k[i];
#pragma unroll
        for (int distance = lanes / 2; distance > 0; distance /= 2)
          dot += __shfl_xor_sync(0xffffffffu, dot, distance);
        score[h][s] = there ? dot : AD_NONE;
      }
    }
#pragma unroll
    for (int h = 0; h < heads; ++h) {
      float top = m[h];
#pragma unroll
      for (int s = 0; s < steps; ++s) top = fmaxf(top, score[h][s]);
      const float shrink = exp2f(m[h] - top);
      m[h] = top;
      d[h] *= shrink;
#pragma unroll
      for (int i = 0; i < 8; ++i) out[h][i] *= shrink;
#pragma unroll
      for (int s = 0; s < steps; ++s) {
        // Beyond the end, what lies in a page may be anything, also no number.
        score[h][s] = score[h][s] > AD_NONE ? exp2f(score[h][s] - top) : 0.0f;
        d[h] += score[h][s];
      }
    }
#pragma unroll
    for (int s = 0; s < steps; ++s) {
      float v[8];
      ad_unpack(value[s], v);
      const bool there = page * AD_PAGE + s * tokens + slot < length;
#pragma unroll
      for (int h = 0; h < heads; ++h) {
#pragma unroll
        for (int i = 0; i < 8; ++i) out[h][i] += there ? score[h][s] * v[i] : 0.0f;
      }
    }
  }
#pragma unroll
  for (int h = 0; h < heads; ++h) {
#pragma unroll
    for (int distance = lanes; distance < 32; distance *= 2) {
      const float other = __shfl_xor_sync(0xffffffffu, m[h], distance), top = fmaxf(m[h], other);
      const float mine = exp2f(m[h] - top), its = exp2f(other - top);
      d[h] = d[h] * mine + __shfl_xor_sync(0xffffffffu, d[h], distance) * its;
#pragma unroll
      for (int i = 0; i < 8; ++i)
        out[h][i] = out[h][i] * mine + __shfl_xor_sync(0xffffffffu, out[h][i], distance) * its;
      m[h] = top;
    }
    if (slot == 0) {
#pragma unroll
      for (int i = 0; i < 8; ++i) sums[warp][h][part * 8 + i] = out[h][i];
    }
    if (lane == 0) {
      largest[warp][h] = m[h];
      weight[warp][h] = d[h];
    }
  }
  __syncthreads();
  for (int index = threadIdx.x; index < heads * D; index += THREADS) {
    const int h = index / D, i = index % D;
    float top = AD_NONE, total = 0, sum = 0;
#pragma unroll
    for (int w = 0; w < warps; ++w) top = fmaxf(top, largest[w][h]);
#pragma unroll
    for (int w = 0; w < warps; ++w) {
      const float factor = exp2f(largest[w][h] - top);
      total += factor * weight[w][h];
      sum += factor * sums[w][h][i];
    }
    const long long head = kv_head * heads + h;
    if (splits == 1) {
      output[((long long)batch * H_Q + head) * D + i] = __float2half_rn(sum / total);
      if (i == 0) lse[(long long)batch * H_Q + head] = top + log2f(total);
    } else {
      float* mine = partial + (((long long)batch * splits + blockIdx.y) * H_Q + head) * (D + 2);
      mine[i] = sum;
      if (i == 0) {
        mine[D] = top;
        mine[D + 1] = total;
      }
    }
  }
}

// The splits of each query head made one. Grid: (H_Q, batch) blocks of D threads.
template <int H_Q, int D>
__device__ __forceinline__ void ad_merge(const float* partial, int splits, half* output, float* lse) {
  const int head = blockIdx.x, i = threadIdx.x;
  const float* first = partial + ((long long)blockIdx.y * splits * H_Q + head) * (D + 2);
  float top = AD_NONE, total = 0, sum = 0;
  for (int s = 0; s < splits; ++s) top = fmaxf(top, first[(long long)s * H_Q * (D + 2) + D]);
  for (int s = 0; s < splits; ++s) {
    const float* part = first + (long long)s * H_Q * (D + 2);
    const float factor = exp2f(part[D] - top);
    total += factor * part[D + 1];
    sum += factor * part[i];
  }
  output[((long long)blockIdx.y * H_Q + head) * D + i] = __float2half_rn(sum / total);
  if (i == 0) lse[(long long)blockIdx.y * H_Q + head] = top + log2f(total);
}

#endif  // REGRESS_ATTENTION_DECODE
