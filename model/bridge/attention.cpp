// Chooses the attention kernels for this machine's instructions; and the layout of pages, which is one for all.
#include "attention.h"

#include <algorithm>

#include "set.h"

#define GROUPER_ATTENTION(set)                                                                                        \
  namespace set {                                                                                                     \
  void attention_forward(const float*, const float*, const float*, const int32_t*, const AttentionForm&, int64_t,     \
                         int64_t, float*, float*);                                                                    \
  void attention_step(const StepPointers&, const AttentionForm&, const float*, const float*, float*, int64_t,         \
                      int64_t, int64_t, int64_t, float*);                                                             \
  void attention_backward(const float*, const float*, const float*, const float*, const float*, const float*,         \
                          const int32_t*, const int32_t*, const int32_t*, int64_t, const AttentionForm&, int64_t,     \
                          int64_t, float*, float*);                                                                   \
  void attention_collect(const float*, const int32_t*, int64_t, int64_t, const AttentionForm&, int64_t, int64_t,      \
                         float*, float*);                                                                             \
  }

namespace grouper {

GROUPER_ATTENTION(avx512)
GROUPER_ATTENTION(avx2)
GROUPER_ATTENTION(sse2)

int64_t padded_width(int64_t k) { return (k + 15) / 16 * 16; }

int64_t page_floats(const AttentionForm& form) {
  return form.kv_heads * kTile * (form.k + (form.latent ? 0 : padded_width(form.v)));
}

int64_t sum_floats(const AttentionForm& form) {
  return padded_width(form.k) + (form.latent ? 0 : padded_width(form.v));
}

void page_write(const float* key, const float* value, const int32_t* page, const int32_t* slot, int64_t n,
                const AttentionForm& form, int64_t stride, int64_t layer, float* arena) {
  const int64_t kv_heads = form.kv_heads, k = form.k, v = form.v;
  if (form.latent) {
    for (int64_t row = 0; row < n; ++row)
      std::copy(key + row * k, key + (row + 1) * k, arena + page[row] * stride + (layer * kTile + slot[row]) * k);
    return;
  }
  const int64_t padded = padded_width(v), head_floats = kTile * (k + padded);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t kv = 0; kv < kv_heads; ++kv) {
      float* columns = arena + page[row] * stride + (layer * kv_heads + kv) * head_floats;
      float* rows = columns + k * kTile + slot[row] * padded;
      const float* from = key + (row * kv_heads + kv) * k;
      for (int64_t i = 0; i < k; ++i) columns[i * kTile + slot[row]] = from[i];
      std::copy(value + (row * kv_heads + kv) * v, value + (row * kv_heads + kv + 1) * v, rows);
      std::fill(rows + v, rows + padded, 0.0f);
    }
}

void attention_forward(const float* q, const float* key, const float* value, const int32_t* parts,
                       const AttentionForm& form, int64_t first, int64_t last, float* out, float* log_sum) {
  GROUPER_DISPATCH(attention_forward(q, key, value, parts, form, first, last, out, log_sum))
}

void attention_step(const StepPointers& rows, const AttentionForm& form, const float* cosine, const float* sine,
                    float* arena, int64_t stride, int64_t layer, int64_t first, int64_t last, float* out) {
  GROUPER_DISPATCH(attention_step(rows, form, cosine, sine, arena, stride, layer, first, last, out))
}

void attention_backward(const float* d_out, const float* q, const float* key, const float* value, const float* out,
                        const float* log_sum, const int32_t* parts, const int32_t* ends, const int32_t* sum_ends,
                        int64_t n_sums, const AttentionForm& form, int64_t first, int64_t last, float* dq,
                        float* sums) {
  GROUPER_DISPATCH(attention_backward(d_out, q, key, value, out, log_sum, parts, ends, sum_ends, n_sums, form, first,
                                      last, dq, sums))
}

void attention_collect(const float* sums, const int32_t* spans, int64_t n_spans, int64_t n_sums,
                       const AttentionForm& form, int64_t first, int64_t last, float* dkey, float* dvalue) {
  GROUPER_DISPATCH(attention_collect(sums, spans, n_spans, n_sums, form, first, last, dkey, dvalue))
}

}  // namespace grouper
