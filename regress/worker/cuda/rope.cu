// Rotary embedding of queries and keys, split out of one tensor with the values.
//
// The angles' frequencies come in as a table, so that a model's own scaling of them is no concern here. Angles are
// brought into one turn first: a compiler told to be fast takes the hardware's sine, which is exact only there.

#ifndef REGRESS_ROPE
#define REGRESS_ROPE

#define ROPE_THREADS 256

__device__ __forceinline__ void rope_turn(float& low, float& high, float angle) {
  const float turns = rintf(angle * 0.15915494f);
  angle = fmaf(turns, -6.28125f, angle);  // 2 pi in three parts: the first two products are exact
  angle = fmaf(turns, -0.0019350051879882812f, angle);
  angle = fmaf(turns, -3.019916050561733e-07f, angle);
  float sine, cosine;
  __sincosf(angle, &sine, &cosine);
  const float first = low * cosine - high * sine;
  high = high * cosine + low * sine;
  low = first;
}

__device__ __forceinline__ uint2 rope_pack(const float (&values)[4]) {
  const half2 first = __floats2half2_rn(values[0], values[1]), second = __floats2half2_rn(values[2], values[3]);
  return make_uint2(*reinterpret_cast<const unsigned int*>(&first), *reinterpret_cast<const unsigned int*>(&second));
}

__device__ __forceinline__ void rope_unpack(uint2 packed, float (&values)[4]) {
  const float2 first = __half22float2(*reinterpret_cast<const half2*>(&packed.x));
  const float2 second = __half22float2(*reinterpret_cast<const half2*>(&packed.y));
  values[0] = first.x, values[1] = first.y, values[2] = second.x, values[3] = second.y;
}

// (tokens, H_Q + 2 H_KV, D) half to q (tokens, H_Q, D), k and v (tokens, H_KV, D).
// Grid: (tokens, blocks of ROPE_THREADS over a token's 8-value pieces).
template <int H_Q, int H_KV, int D>
__device__ __forceinline__ void rope_split(const half* qkv, const int* positions, half* q, half* k, half* v,
                                           const float* frequencies, bool turn) {
  constexpr int pieces = D / 8, heads = H_Q + 2 * H_KV;
  const int index = blockIdx.y * ROPE_THREADS + threadIdx.x, head = index / pieces, at = index % pieces * 4;
  const long long token = blockIdx.x;
  if (head >= heads) return;
  const half* from = qkv + (token * heads + head) * D + at;
  uint2 low = *reinterpret_cast<const uint2*>(from), high = *reinterpret_cast<const uint2*>(from + D / 2);
  if (turn && head < H_Q + H_KV) {
    float lows[4], highs[4];
    rope_unpack(low, lows);
    rope_unpack(high, highs);
    const float position = positions[token];
#pragma unroll
    for (int i = 0; i < 4; ++i) rope_turn(lows[i], highs[i], position * frequencies[at + i]);
    low = rope_pack(lows);
    high = rope_pack(highs);
  }
  half* to = head < H_Q             ? q + (token * H_Q + head) * D
             : head < H_Q + H_KV ? k + (token * H_KV + head - H_Q) * D
                                    : v + (token * H_KV + head - H_Q - H_KV) * D;
  *reinterpret_cast<uint2*>(to + at) = low;
  *reinterpret_cast<uint2*>(to + at + D / 2) = high;
}

#endif  // REGRESS_ROPE
