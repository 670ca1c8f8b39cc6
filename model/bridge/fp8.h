// Matrix products in FP8, as DeepSeek-V3 trains with (arXiv 2412.19437, section 3.3), exact by construction.
//
// A number is E4M3: a sign, four bits of exponent (bias 7), three of mantissa; no infinity, largest 448. Numbers that are
// summed over come in chunks of 128, and share a scale: a row's chunk in activations (a tile of 1 x 128), 128 of such
// chunks in weights (a block of 128 x 128), the same column of 128 rows where rows are summed over (128 x 1). The last
// chunk of a dimension may be shorter; so may others where matrices stand one above the other, since no block is part of
// two. `starts` says where the chunks of a dimension of n begin, and ends with n.
//
//   scale = max |x| / 448, in f32; 1 where that is below 2^-126 (a tile of zeros is one); NaN where a number of the tile
//           is infinite or NaN, so that whatever is computed from the tile is NaN. Where powers of two are asked for, the
//           least one that is not below it.
//   x     = scale * E4M3(x / scale): the quotient in f32, at most 448 in magnitude, to the nearest, ties to even.
//
// A number of a product is a chain over the chunks c in order, and inside of a chunk over its numbers p in order, each
// step one fused multiply-add in f32 (rounded twice where the machine has none, as all products here):
//
//   t(c) = ((a(0) * b(0)) + a(1) * b(1)) + ...          from zero
//   y    = y + t(c) * s(c), with s(c) = scale_a(c) * scale_b(c) rounded to f32
//
// from zero; where a product is added to a gradient, from what stood there. A product of two E4M3 numbers is exact in
// f32. No number depends on other rows, but that a tile of 128 x 1 shares its scale.
#pragma once
#include <cstdint>

namespace grouper {

// Codes of weights w [n, k], row by row, with the scales of their blocks; n counts from a block's first row.
void fp8_encode(const float* w, int64_t n, int64_t k, uint8_t* codes, float* scales);

// The numbers that codes stand for, without scales; 480 for NaN.
void fp8_decode(const uint8_t* codes, int64_t count, float* numbers);

// Codes [n, k] laid out in panels as of product.h, a byte a number; those of panels first to last.
void fp8_pack(const uint8_t* codes, int64_t n, int64_t k, int64_t first, int64_t last, uint8_t* panels);

// The E4M3 numbers of rows x [m, k] in tiles of 1 x 128, each times fp8_times, and the scales of the tiles: `chunks` for
// each row.
void fp8_quantise_rows(const float* x, int64_t m, int64_t k, const int64_t* starts, int64_t chunks, bool powers,
                       float* numbers, float* scales);

// The E4M3 numbers of x [m, k] in tiles of 128 x 1, and the scales, k for each 128 rows; rows count from a tile's first.
void fp8_quantise_columns(const float* x, int64_t m, int64_t k, bool powers, float* numbers, float* scales);

// Weights [n, k]: panels of codes, the scales of the blocks [n_chunks, k_chunks], and where the chunks begin.
struct Fp8Weights {
  const uint8_t* codes;
  const float* scales;
  const int64_t* n_starts;
  const int64_t* k_starts;
  int64_t n_chunks, k_chunks;
};

// A call computes a part of the result, as of product.h: of panels first to last, or rows first to last.

// y [m, n] = x [m, k] * w^T.
void fp8_product(const float* x, const float* x_scales, const Fp8Weights& w, int64_t m, int64_t first, int64_t last,
                 float* y);

// dx [m, k] = dy [m, n] * w [n, k].
void fp8_input_gradient(const float* dy, const float* dy_scales, const Fp8Weights& w, int64_t m, int64_t first,
                        int64_t last, float* dx);

// dw [n, k] += dy [m, n]^T * x [m, k], both in tiles of 128 x 1.
void fp8_weight_gradient(const float* dy, const float* dy_scales, const float* x, const float* x_scales, int64_t m,
                         int64_t n, int64_t k, int64_t first, int64_t last, float* dw);

}  // namespace grouper
