#include <immintrin.h>

#include <cstdint>
#include <cstdlib>

namespace grouper::avx2 {

typedef __m256 Vector;
constexpr int64_t kLanes = 8, kRows = 6;
static inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
static inline void store(float* to, Vector v) { _mm256_storeu_ps(to, v); }
static inline Vector broadcast(float s) { return _mm256_set1_ps(s); }
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }

#include "product.inc"

}  // namespace grouper::avx2
