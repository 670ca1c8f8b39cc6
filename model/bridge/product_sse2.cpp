#include <emmintrin.h>

#include <cstdint>
#include <cstdlib>

namespace grouper::sse2 {

typedef __m128 Vector;
constexpr int64_t kLanes = 4, kRows = 4;
static inline Vector load(const float* from) { return _mm_loadu_ps(from); }
static inline void store(float* to, Vector v) { _mm_storeu_ps(to, v); }
static inline Vector broadcast(float s) { return _mm_set1_ps(s); }
// Rounded twice: this set has no fused multiply-add. Compiled without contraction, so that it stays so.
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }

#include "product.inc"

}  // namespace grouper::sse2
