#include <emmintrin.h>

#include <cstdint>
#include <cstdlib>

#include "attention.h"
#include "fp8.h"
#include "kernels.h"

namespace grouper::sse2 {

typedef __m128 Vector;
constexpr int64_t kLanes = 4, kRows = 4, kRegisters = 16;
static inline Vector load(const float* from) { return _mm_loadu_ps(from); }
static inline void load_pairs(const uint16_t* from, Vector& first, Vector& second) {
  const __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  first = _mm_castsi128_ps(_mm_slli_epi32(pairs, 16));
  second = _mm_castsi128_ps(_mm_and_si128(pairs, _mm_set1_epi32(static_cast<int32_t>(0xffff0000))));
}
static inline void store(float* to, Vector v) { _mm_storeu_ps(to, v); }
static inline Vector broadcast(float s) { return _mm_set1_ps(s); }
// Rounded twice: this set has no fused multiply-add. Compiled without contraction, so that it stays so.
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
static inline Vector larger(Vector a, Vector b) { return _mm_max_ps(a, b); }

static inline float largest(Vector v) {
  v = _mm_max_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_max_ss(v, _mm_shuffle_ps(v, v, 1)));
}

static inline float total(Vector v) {
  v = _mm_add_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}

static inline Vector scaled_above(Vector p, Vector n, Vector x, float limit) {
  const __m128i power = _mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127)), 23);
  const __m128 scaled = _mm_mul_ps(p, _mm_castsi128_ps(power));
  return _mm_and_ps(scaled, _mm_cmpnlt_ps(x, _mm_set1_ps(limit)));
}

// As the other sets have it: there codes become halves with the same digits, which are 2^8 times less. Here they become
// floats, another 2^112 times less.
constexpr float kTimes = 256.0f;
static inline Vector decoded(const uint8_t* codes) {
  int32_t four;
  __builtin_memcpy(&four, codes, sizeof four);
  const __m128i words = _mm_unpacklo_epi8(_mm_setzero_si128(), _mm_cvtsi32_si128(four));
  const __m128i high = _mm_unpacklo_epi16(_mm_setzero_si128(), words);
  const __m128i digits = _mm_srli_epi32(_mm_slli_epi32(high, 1), 5);
  const __m128i sign = _mm_and_si128(high, _mm_set1_epi32(static_cast<int32_t>(0x80000000)));
  return _mm_mul_ps(_mm_castsi128_ps(_mm_or_si128(sign, digits)), _mm_set1_ps(0x1p112f));
}

// The tile comes first: the others are made of it.
#include "tile.inc"

#include "attention.inc"
#include "attention_step.inc"
#include "attention_backward.inc"
#include "product.inc"
// Made of the products' panels.
#include "fp8.inc"

}  // namespace grouper::sse2
