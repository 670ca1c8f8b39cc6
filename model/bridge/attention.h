// Causal attention of packed rows and of pages, exact by construction: scores are chains of multiply-adds over the
// head's width, in order; key tiles of kTile positions are summed in order, and cut at absolute positions. So a query's
// numbers are the same bits in every one of these functions, whatever stands beside it.
//
// Work comes in items that do not depend on who computes them; every function does items `first` to `last`.
#pragma once
#include <cstdint>

namespace grouper {

// Positions in a key tile.
constexpr int64_t kTile = 32;

// Queries of one segment that are computed together travel as a part. A segment is a run of packed rows
// that attend to a shared prefix and then to themselves, causally. The last two say where the backward pass adds up the
// gradients of the keys.
struct Part {
  int32_t start;          // the segment's first own row
  int32_t prefix_start;   // first row of its prefix
  int32_t prefix_length;  // rows of its prefix, 0 for none
  int32_t first;          // the part's first query, counted from `start`
  int32_t count;          // its queries
  int32_t prefix_sum;     // where sums for the prefix begin, or would if it were seen from its first row on
  int32_t own_sum;        // the same for the segment's own rows
};

// A run of sums and the packed rows they belong to.
struct Span {
  int32_t row, sum, length;
};

// What an attention is made of: `heads` queries a row, each k numbers, and `kv_heads` keys of k and values of v numbers.
// Scores are products of queries and keys, times `scale`. A query sees the last `window` positions up to its own, which
// may be more than there are; tiles that no query of a call sees are not visited. Where `latent` is not 0 there is one key,
// whose first v numbers are the value, and arrays of values are not read or written.
struct AttentionForm {
  int64_t heads, kv_heads, k, v, window, latent;
  float scale;
};

// Attention over packed rows: q is [n, heads, k], key [n, kv_heads, k], value [n, kv_heads, v] and out [n, heads, v];
// log_sum receives [n, heads]. Item i is head i % kv_heads of part i / kv_heads.
void attention_forward(const float* q, const float* key, const float* value, const int32_t* parts,
                       const AttentionForm& form, int64_t first, int64_t last, float* out, float* log_sum);

// The key-value cache is an arena of pages. A page holds kTile positions of every layer: for each layer and head, keys
// [k, kTile] with positions side by side, then values [kTile, v rounded up to whole vectors]. Of latents it holds only the
// keys, [kTile, k].

// A width rounded up to whole vectors of the widest set.
int64_t padded_width(int64_t k);

// Numbers in one layer's share of a page.
int64_t page_floats(const AttentionForm& form);

// Writes one layer's keys [n, kv_heads, k] and values [n, kv_heads, v] into slot[row] of page[row]. `stride` is a page's
// numbers.
void page_write(const float* key, const float* value, const int32_t* page, const int32_t* slot, int64_t n,
                const AttentionForm& form, int64_t stride, int64_t layer, float* arena);

// Rows of a decoding step, as the projections leave them: row i of queries begins at q + i * q_step, of keys and values
// at key + i * key_step and value + i * value_step. Row i stands at position[i] of its sequence, whose pages are
// pages[i], [n, max_pages]; the rows of sequence s are starts[s] to starts[s + 1], in order of their positions. The heads
// are computed in `shares` of equal size.
struct StepPointers {
  const float *q, *key, *value;
  int64_t q_step, key_step, value_step;
  const int32_t *position, *starts, *pages;
  int64_t sequences, max_pages, shares;
};

// Rotates queries and keys (see `rope`; not at all where `cosine` is null), writes keys and values into their pages of the
// layer and attends to the positions that each row sees: out is [n, heads, v]. `stride` is a page's numbers. Latents come as
// they are to be met, and their pages have them already. Item i is sequence i % sequences of share i / sequences:
// neighbours that share a page read it once. No two sequences write to one page.
void attention_step(const StepPointers& rows, const AttentionForm& form, const float* cosine, const float* sine,
                    float* arena, int64_t stride, int64_t layer, int64_t first, int64_t last, float* out);

// Numbers of one row of a kv head's sums: those of its key, then those of its value if it has one of its own, each rounded
// up to whole vectors.
int64_t sum_floats(const AttentionForm& form);

// Gradients of attention_forward: dq is written, those of key and value go to sums: for each kv head, n_sums of keys, then
// n_sums of values.
// Chunk c holds parts ends[c - 1] to ends[c] and sums sum_ends[c - 1] to sum_ends[c], counted from 0. Item i is head
// i % kv_heads of chunk i / kv_heads.
void attention_backward(const float* d_out, const float* q, const float* key, const float* value, const float* out,
                        const float* log_sum, const int32_t* parts, const int32_t* ends, const int32_t* sum_ends,
                        int64_t n_sums, const AttentionForm& form, int64_t first, int64_t last, float* dq,
                        float* sums);

// Writes rows first to last of dkey [n, kv_heads, k] and dvalue [n, kv_heads, v]: what the sums say of them, span by span.
void attention_collect(const float* sums, const int32_t* spans, int64_t n_spans, int64_t n_sums,
                       const AttentionForm& form, int64_t first, int64_t last, float* dkey, float* dvalue);

}  // namespace grouper
