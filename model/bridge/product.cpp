// Chooses the products for this machine's instructions.
#include "product.h"

#include "set.h"

#define GROUPER_PRODUCTS(set)                                                                               \
  namespace set {                                                                                           \
  int64_t panel_rows();                                                                                     \
  int64_t tile_rows();                                                                                      \
  void pack_panels(const float*, int64_t, int64_t, float*);                                                 \
  void product_packed(const float*, const float*, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, float*); \
  void product_halves(const float*, const uint16_t*, int64_t, int64_t, int64_t, int64_t, int64_t, float*);  \
  void product_input_gradient(const float*, const float*, int64_t, int64_t, int64_t, int64_t, int64_t, float*); \
  void product_weight_gradient(const float*, const float*, int64_t, int64_t, int64_t, int64_t, int64_t, float*); \
  }

namespace grouper {

GROUPER_PRODUCTS(avx512)
GROUPER_PRODUCTS(avx2)
GROUPER_PRODUCTS(sse2)

const char* product_route() {
  switch (machine_set()) {
    case Set::kAvx512: return "avx512";
    case Set::kAvx2: return "avx2";
    default: return "sse2";
  }
}

int64_t panel_rows() { GROUPER_DISPATCH(panel_rows()) }

int64_t tile_rows() { GROUPER_DISPATCH(tile_rows()) }

void pack_panels(const float* w, int64_t n, int64_t k, float* panels) {
  GROUPER_DISPATCH(pack_panels(w, n, k, panels))
}

void product_packed(const float* x, const float* panels, int64_t m, int64_t n, int64_t k, int64_t first, int64_t last,
                    int64_t then, float* y) {
  GROUPER_DISPATCH(product_packed(x, panels, m, n, k, first, last, then, y))
}

void product_halves(const float* x, const uint16_t* panels, int64_t m, int64_t n, int64_t k, int64_t first,
                    int64_t last, float* y) {
  GROUPER_DISPATCH(product_halves(x, panels, m, n, k, first, last, y))
}

void product_input_gradient(const float* dy, const float* w, int64_t m, int64_t n, int64_t k, int64_t first, int64_t last,
                    float* dx) {
  GROUPER_DISPATCH(product_input_gradient(dy, w, m, n, k, first, last, dx))
}

void product_weight_gradient(const float* dy, const float* x, int64_t m, int64_t n, int64_t k, int64_t first, int64_t last,
                    float* dw) {
  GROUPER_DISPATCH(product_weight_gradient(dy, x, m, n, k, first, last, dw))
}

}  // namespace grouper
