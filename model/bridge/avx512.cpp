#include <immintrin.h>

#include <cstdint>
#include <cstdlib>

#include "attention.h"
#include "fp8.h"
#include "kernels.h"

namespace grouper::avx512 {

typedef __m512 Vector;
constexpr int64_t kLanes = 16, kRows = 8, kRegisters = 32;
static inline Vector load(const float* from) { return _mm512_loadu_ps(from); }
static inline void load_pairs(const uint16_t* from, Vector& first, Vector& second) {
  const __m512i pairs = _mm512_loadu_si512(from);
  first = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
  second = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int32_t>(0xffff0000))));
}
static inline void store(float* to, Vector v) { _mm512_storeu_ps(to, v); }
static inline Vector broadcast(float s) { return _mm512_set1_ps(s); }
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
static inline Vector larger(Vector a, Vector b) { return _mm512_max_ps(a, b); }
static inline float largest(Vector v) { return _mm512_reduce_max_ps(v); }
static inline float total(Vector v) { return _mm512_reduce_add_ps(v); }

static inline Vector scaled_above(Vector p, Vector n, Vector x, float limit) {
  return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_NLT_UQ), p, n);
}

// Codes as halves with the same digits, which are 2^8 times less.
constexpr float kTimes = 256.0f;
static inline Vector decoded(const uint8_t* codes) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  return _mm512_cvtph_ps(_mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(static_cast<short>(0xbfff))));
}

// The tile comes first: the others are made of it.
#include "tile.inc"

#include "attention.inc"
#include "attention_step.inc"
#include "attention_backward.inc"
#include "product.inc"
// Made of the products' panels.
#include "fp8.inc"

}  // namespace grouper::avx512
