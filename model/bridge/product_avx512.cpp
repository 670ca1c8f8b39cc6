#include <immintrin.h>

#include <cstdint>
#include <cstdlib>

namespace grouper::avx512 {

typedef __m512 Vector;
constexpr int64_t kLanes = 16, kRows = 8;
static inline Vector load(const float* from) { return _mm512_loadu_ps(from); }
static inline void store(float* to, Vector v) { _mm512_storeu_ps(to, v); }
static inline Vector broadcast(float s) { return _mm512_set1_ps(s); }
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }

#include "product.inc"

}  // namespace grouper::avx512
