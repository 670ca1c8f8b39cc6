#include <emmintrin.h>

#include <cstdint>
#include <cstdlib>

#include "attention.h"
#include "kernels.h"

namespace grouper::sse2 {

typedef __m128 Vector;
constexpr int64_t kLanes = 4, kRows = 4;
static inline Vector load(const float* from) { return _mm_loadu_ps(from); }
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

// The tile comes first: the others are made of it.
#include "tile.inc"

#include "attention.inc"
#include "attention_backward.inc"
#include "product.inc"

}  // namespace grouper::sse2
