#include <immintrin.h>

#include <cstdint>
#include <cstdlib>

#include "attention.h"
#include "fp8.h"
#include "kernels.h"

namespace grouper::avx2 {

typedef __m256 Vector;
constexpr int64_t kLanes = 8, kRows = 6, kRegisters = 16;
static inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
static inline void load_pairs(const uint16_t* from, Vector& first, Vector& second) {
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  first = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
  second = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int32_t>(0xffff0000))));
}
static inline void store(float* to, Vector v) { _mm256_storeu_ps(to, v); }
static inline Vector broadcast(float s) { return _mm256_set1_ps(s); }
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
static inline Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }

static inline float largest(Vector v) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

static inline float total(Vector v) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

static inline Vector scaled_above(Vector p, Vector n, Vector x, float limit) {
  const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  const __m256 scaled = _mm256_mul_ps(p, _mm256_castsi256_ps(power));
  return _mm256_and_ps(scaled, _mm256_cmp_ps(x, _mm256_set1_ps(limit), _CMP_NLT_UQ));
}

// Codes as halves with the same digits, which are 2^8 times less.
constexpr float kTimes = 256.0f;
static inline Vector decoded(const uint8_t* codes) {
  const __m128i wide = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)));
  return _mm256_cvtph_ps(_mm_and_si128(_mm_slli_epi16(wide, 7), _mm_set1_epi16(static_cast<short>(0xbfff))));
}

// The tile comes first: the others are made of it.
#include "tile.inc"

#include "attention.inc"
#include "attention_step.inc"
#include "attention_backward.inc"
#include "product.inc"
// Made of the products' panels.
#include "fp8.inc"

}  // namespace grouper::avx2
