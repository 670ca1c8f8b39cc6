// Matrix products in f32 for one thread, exact by construction: every number of the result is one chain of
// multiply-adds over the inner dimension, in order, whatever the number of rows and wherever tiles are cut. libtorch's
// products promise no such thing, and must find out anew in every call how weights are best laid out; here that is
// done once an update.
#pragma once
#include <cstdint>

namespace grouper {

// Which instructions products use on this machine: "avx512", "avx2" or "sse2".
const char* product_route();

// Weights [n, k] are laid out in panels of this many rows; a packed matrix holds round_up(n, panel) * k numbers.
int64_t panel_rows();

// Rows of x that go through a panel together.
int64_t tile_rows();

// Lays out weights w [n, k] as panels.
void pack_panels(const float* w, int64_t n, int64_t k, float* panels);

// A call computes a part of the result, so that several threads can share a product.

// y [m, n] = x [m, k] * w^T, with w as panels; of y the columns of panels first to last. Panel `then` is likely to be the
// next that is asked for (-1: it is not known).
void product_packed(const float* x, const float* panels, int64_t m, int64_t n, int64_t k, int64_t first, int64_t last,
                    int64_t then, float* y);

// product_packed with weights in bf16: the same chains on the numbers that they stand for. Their panels are laid out alike,
// but that in turns stand a number of the first and of the second half of a panel's rows.
void product_halves(const float* x, const uint16_t* panels, int64_t m, int64_t n, int64_t k, int64_t first,
                    int64_t last, float* y);

// dx [m, k] = dy [m, n] * w [n, k]; of dx the columns in groups of a panel's rows, groups first to last.
void product_input_gradient(const float* dy, const float* w, int64_t m, int64_t n, int64_t k, int64_t first,
                            int64_t last, float* dx);

// dw [n, k] += dy [m, n]^T * x [m, k]; of dw the rows first to last.
void product_weight_gradient(const float* dy, const float* x, int64_t m, int64_t n, int64_t k, int64_t first,
                             int64_t last, float* dw);

}  // namespace grouper
