// Chooses the products in FP8 for this machine's instructions.
#include "fp8.h"

#include "set.h"

#define GROUPER_FP8(set)                                                                                            \
  namespace set {                                                                                                   \
  void fp8_encode(const float*, int64_t, int64_t, uint8_t*, float*);                                                \
  void fp8_decode(const uint8_t*, int64_t, float*);                                                                 \
  void fp8_pack(const uint8_t*, int64_t, int64_t, int64_t, int64_t, uint8_t*);                                      \
  void fp8_quantise_rows(const float*, int64_t, int64_t, const int64_t*, int64_t, bool, float*, float*);            \
  void fp8_quantise_columns(const float*, int64_t, int64_t, bool, float*, float*);                                  \
  void fp8_product(const float*, const float*, const Fp8Weights&, int64_t, int64_t, int64_t, float*);               \
  void fp8_input_gradient(const float*, const float*, const Fp8Weights&, int64_t, int64_t, int64_t, float*);        \
  void fp8_weight_gradient(const float*, const float*, const float*, const float*, int64_t, int64_t, int64_t, int64_t, \
                           int64_t, float*);                                                                        \
  }

namespace grouper {

GROUPER_FP8(avx512)
GROUPER_FP8(avx2)
GROUPER_FP8(sse2)

void fp8_encode(const float* w, int64_t n, int64_t k, uint8_t* codes, float* scales) {
  GROUPER_DISPATCH(fp8_encode(w, n, k, codes, scales))
}

void fp8_decode(const uint8_t* codes, int64_t count, float* numbers) {
  GROUPER_DISPATCH(fp8_decode(codes, count, numbers))
}

void fp8_pack(const uint8_t* codes, int64_t n, int64_t k, int64_t first, int64_t last, uint8_t* panels) {
  GROUPER_DISPATCH(fp8_pack(codes, n, k, first, last, panels))
}

void fp8_quantise_rows(const float* x, int64_t m, int64_t k, const int64_t* starts, int64_t chunks, bool powers,
                       float* numbers, float* scales) {
  GROUPER_DISPATCH(fp8_quantise_rows(x, m, k, starts, chunks, powers, numbers, scales))
}

void fp8_quantise_columns(const float* x, int64_t m, int64_t k, bool powers, float* numbers, float* scales) {
  GROUPER_DISPATCH(fp8_quantise_columns(x, m, k, powers, numbers, scales))
}

void fp8_product(const float* x, const float* x_scales, const Fp8Weights& w, int64_t m, int64_t first, int64_t last,
                 float* y) {
  GROUPER_DISPATCH(fp8_product(x, x_scales, w, m, first, last, y))
}

void fp8_input_gradient(const float* dy, const float* dy_scales, const Fp8Weights& w, int64_t m, int64_t first,
                        int64_t last, float* dx) {
  GROUPER_DISPATCH(fp8_input_gradient(dy, dy_scales, w, m, first, last, dx))
}

void fp8_weight_gradient(const float* dy, const float* dy_scales, const float* x, const float* x_scales, int64_t m,
                         int64_t n, int64_t k, int64_t first, int64_t last, float* dw) {
  GROUPER_DISPATCH(fp8_weight_gradient(dy, dy_scales, x, x_scales, m, n, k, first, last, dw))
}

}  // namespace grouper
