#include "kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

// One body, compiled for AVX-512, AVX2 and the baseline, chosen at load time.
#define GROUPER_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#define GROUPER_INLINE inline __attribute__((always_inline))

namespace grouper {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kHalf = kTile / 2;

typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t Words __attribute__((vector_size(64)));
static_assert(kHalf == kLanes, "a key tile is two vectors wide");

GROUPER_INLINE void load(Lanes& to, const float* from) { std::memcpy(&to, from, sizeof to); }
GROUPER_INLINE void store(float* to, const Lanes& from) { std::memcpy(to, &from, sizeof from); }

GROUPER_INLINE void load_part(Lanes& to, const float* from, int64_t count) {
  to = Lanes{};
  std::memcpy(&to, from, static_cast<size_t>(count) * sizeof(float));
}

GROUPER_INLINE void store_part(float* to, const Lanes& from, int64_t count) {
  std::memcpy(to, &from, static_cast<size_t>(count) * sizeof(float));
}

// The sum of sixteen lanes, as a balanced tree.
GROUPER_INLINE float sum(const Lanes& lanes) {
  float part[16];
  store(part, lanes);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) part[i] += part[i + width];
  return part[0];
}

GROUPER_INLINE float largest(const Lanes& lanes) {
  float part[16];
  store(part, lanes);
  float best = part[0];
  for (int i = 1; i < 16; ++i) best = part[i] > best ? part[i] : best;
  return best;
}

// e^x. Cody-Waite reduction by ln 2 and a polynomial of degree 7 on [-ln2/2, ln2/2]; relative error below 2e-7.
// Arguments below -87 give 0 and above 88 give e^88: softmax never asks for more than e^0.
GROUPER_INLINE Lanes exponential(Lanes x) {
  const Lanes zero{};
  const Words tiny = x < (zero - 87.0f);
  x = (x > (zero + 88.0f)) ? zero + 88.0f : x;
  x = (x < (zero - 87.0f)) ? zero - 87.0f : x;
  const Lanes magic = zero + 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  Lanes shifted = x * 1.44269504088896341f + magic;
  Lanes n = shifted - magic;
  Lanes r = x - n * 0.693145751953125f;
  r = r - n * 1.428606820309417e-6f;
  Lanes p = zero + 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  Words exponent = (__builtin_convertvector(n, Words) + 127) << 23;
  Lanes power;
  std::memcpy(&power, &exponent, sizeof power);
  return tiny ? zero : p * power;
}

GROUPER_INLINE float exponential(float x) { return exponential(Lanes{} + x)[0]; }

GROUPER_INLINE int64_t round_up(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

struct Segment {
  int64_t start, length, prefix_start, prefix_length;
};

GROUPER_INLINE Segment segment_at(const int32_t* segments, int64_t index) {
  const int32_t* at = segments + 4 * index;
  return {at[0], at[1], at[2], at[3]};
}

// One key tile of one head, gathered from packed rows: keys across lanes for scores, rows for sums.
struct Tile {
  std::vector<float> key_columns, value_columns, key_rows, value_rows;
  int64_t k, padded;

  explicit Tile(int64_t k)
      : key_columns(k * kTile), value_columns(k * kTile), key_rows(kTile * round_up(k)),
        value_rows(kTile * round_up(k)), k(k), padded(round_up(k)) {}
};

GROUPER_INLINE int64_t row_of(const Segment& segment, int64_t position) {
  return position < segment.prefix_length ? segment.prefix_start + position
                                          : segment.start + position - segment.prefix_length;
}

GROUPER_INLINE void gather(Tile& tile, const float* key, const float* value, const Segment& segment, int64_t first,
                           int64_t count, int64_t kv_heads, int64_t head) {
  std::fill(tile.key_columns.begin(), tile.key_columns.end(), 0.0f);
  std::fill(tile.value_columns.begin(), tile.value_columns.end(), 0.0f);
  std::fill(tile.key_rows.begin(), tile.key_rows.end(), 0.0f);
  std::fill(tile.value_rows.begin(), tile.value_rows.end(), 0.0f);
  for (int64_t j = 0; j < count; ++j) {
    const int64_t offset = (row_of(segment, first + j) * kv_heads + head) * tile.k;
    for (int64_t i = 0; i < tile.k; ++i) {
      tile.key_columns[i * kTile + j] = tile.key_rows[j * tile.padded + i] = key[offset + i];
      tile.value_columns[i * kTile + j] = tile.value_rows[j * tile.padded + i] = value[offset + i];
    }
  }
}

// Products of one row with the tile's columns: 32 sums, each a chain over the head's width in order.
GROUPER_INLINE void against_columns(const float* row, const float* columns, int64_t k, Lanes& low, Lanes& high) {
  low = Lanes{};
  high = Lanes{};
  for (int64_t i = 0; i < k; ++i) {
    Lanes a, b;
    load(a, columns + i * kTile);
    load(b, columns + i * kTile + kHalf);
    low += row[i] * a;
    high += row[i] * b;
  }
}

// Running softmax of one query over tiles in order.
struct Running {
  float top = -std::numeric_limits<float>::infinity();
  float total = 0.0f;
};

}  // namespace

// One query's part in a tile: what it attends with, to how many of the tile's keys, and where its sums stand.
struct Query {
  const float* q;
  int64_t count;
  Running* state;
  float* sums;
};

// Attends Q queries side by side, each exactly as it would be alone: a query's own chains of additions do not change,
// there are only others to hide their latency behind. `sums` are padded to whole vectors.
template <int Q>
GROUPER_INLINE void attend_block(const Query* query, const float* key_columns, const float* value_rows, int64_t k,
                                 int64_t padded, float scale) {
  Lanes low[Q], high[Q];
  for (int q = 0; q < Q; ++q) low[q] = high[q] = Lanes{};
  for (int64_t i = 0; i < k; ++i) {
    Lanes a, b;
    load(a, key_columns + i * kTile);
    load(b, key_columns + i * kTile + kHalf);
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
      low[q] += query[q].q[i] * a;
      high[q] += query[q].q[i] * b;
    }
  }
  float weight[Q][kTile], shrink[Q];
  int64_t common = kTile;
  for (int q = 0; q < Q; ++q) {
    Running& state = *query[q].state;
    store(weight[q], low[q] * scale);
    store(weight[q] + kHalf, high[q] * scale);
    for (int64_t j = query[q].count; j < kTile; ++j) weight[q][j] = -std::numeric_limits<float>::infinity();
    Lanes a, b;
    load(a, weight[q]);
    load(b, weight[q] + kHalf);
    const float top = std::max(state.top, std::max(largest(a), largest(b)));
    shrink[q] = state.total == 0.0f ? 0.0f : exponential(state.top - top);
    a = exponential(a - top);
    b = exponential(b - top);
    state.total = state.total * shrink[q] + (sum(a) + sum(b));
    state.top = top;
    store(weight[q], a);
    store(weight[q] + kHalf, b);
    common = std::min(common, query[q].count);
  }
  for (int64_t i = 0; i < padded; i += kLanes) {
    Lanes acc[Q];
    for (int q = 0; q < Q; ++q) {
      load(acc[q], query[q].sums + i);
      acc[q] = acc[q] * shrink[q];
    }
    for (int64_t j = 0; j < common; ++j) {
      Lanes v;
      load(v, value_rows + j * padded + i);
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) acc[q] += weight[q][j] * v;
    }
    // Keys that only some of the queries see; the others must not even add a zero.
    for (int q = 0; q < Q; ++q) {
      for (int64_t j = common; j < query[q].count; ++j) {
        Lanes v;
        load(v, value_rows + j * padded + i);
        acc[q] += weight[q][j] * v;
      }
      store(query[q].sums + i, acc[q]);
    }
  }
}

// Attends queries to the keys of one tile. Packed and paged attention call this one compiled body.
GROUPER_CLONES __attribute__((noinline)) void attend(const Query* query, int64_t n, const float* key_columns,
                                                     const float* value_rows, int64_t k, int64_t padded,
                                                     float scale) {
  for (; n >= 4; n -= 4, query += 4) attend_block<4>(query, key_columns, value_rows, k, padded, scale);
  if (n == 3) attend_block<3>(query, key_columns, value_rows, k, padded, scale);
  if (n == 2) attend_block<2>(query, key_columns, value_rows, k, padded, scale);
  if (n == 1) attend_block<1>(query, key_columns, value_rows, k, padded, scale);
}

// The output of a query whose tiles are all attended to.
GROUPER_CLONES __attribute__((noinline)) void finish(const Running& state, const float* sums, int64_t k, float* out) {
  const float inverse = 1.0f / state.total;
  for (int64_t j = 0; j < k; ++j) out[j] = sums[j] * inverse;
}

GROUPER_CLONES void rms_norm_forward(const float* x, const float* w, float eps, int64_t n, int64_t d, float* y,
                                     float* rstd) {
  for (int64_t row = 0; row < n; ++row) {
    const float* in = x + row * d;
    Lanes squares{};
    for (int64_t i = 0; i < d; i += kLanes) {
      Lanes a;
      load_part(a, in + i, std::min(kLanes, d - i));
      squares += a * a;
    }
    const float scale = 1.0f / std::sqrt(sum(squares) / static_cast<float>(d) + eps);
    rstd[row] = scale;
    for (int64_t i = 0; i < d; i += kLanes) {
      const int64_t count = std::min(kLanes, d - i);
      Lanes a, b;
      load_part(a, in + i, count);
      load_part(b, w + i, count);
      store_part(y + row * d + i, b * (a * scale), count);
    }
  }
}

GROUPER_CLONES void rms_norm_backward(const float* dy, const float* x, const float* w, const float* rstd, int64_t n,
                                      int64_t d, float* dx) {
  for (int64_t row = 0; row < n; ++row) {
    const float scale = rstd[row];
    Lanes products{};
    for (int64_t i = 0; i < d; i += kLanes) {
      const int64_t count = std::min(kLanes, d - i);
      Lanes g, a, b;
      load_part(g, dy + row * d + i, count);
      load_part(a, x + row * d + i, count);
      load_part(b, w + i, count);
      products += (g * b) * (a * scale);
    }
    const float mean = sum(products) / static_cast<float>(d);
    for (int64_t i = 0; i < d; i += kLanes) {
      const int64_t count = std::min(kLanes, d - i);
      Lanes g, a, b;
      load_part(g, dy + row * d + i, count);
      load_part(a, x + row * d + i, count);
      load_part(b, w + i, count);
      store_part(dx + row * d + i, (g * b - (a * scale) * mean) * scale, count);
    }
  }
}

GROUPER_CLONES void rms_norm_weight_gradient(const float* dy, const float* x, const float* rstd, int64_t n, int64_t d,
                                             int64_t first, int64_t last, float* dw) {
  for (int64_t row = 0; row < n; ++row)
    for (int64_t i = first; i < last; i += kLanes) {
      const int64_t count = std::min(kLanes, last - i);
      Lanes g, a, old;
      load_part(g, dy + row * d + i, count);
      load_part(a, x + row * d + i, count);
      load_part(old, dw + i, count);
      store_part(dw + i, old + g * (a * rstd[row]), count);
    }
}

GROUPER_CLONES void swiglu_forward(const float* gate_up, int64_t n, int64_t f, float* y) {
  for (int64_t row = 0; row < n; ++row)
    for (int64_t i = 0; i < f; i += kLanes) {
      const int64_t count = std::min(kLanes, f - i);
      Lanes gate, up;
      load_part(gate, gate_up + row * 2 * f + i, count);
      load_part(up, gate_up + row * 2 * f + f + i, count);
      store_part(y + row * f + i, gate / (exponential(-gate) + 1.0f) * up, count);
    }
}

GROUPER_CLONES void swiglu_backward(const float* dy, const float* gate_up, int64_t n, int64_t f, float* d_gate_up) {
  for (int64_t row = 0; row < n; ++row)
    for (int64_t i = 0; i < f; i += kLanes) {
      const int64_t count = std::min(kLanes, f - i);
      Lanes g, gate, up;
      load_part(g, dy + row * f + i, count);
      load_part(gate, gate_up + row * 2 * f + i, count);
      load_part(up, gate_up + row * 2 * f + f + i, count);
      const Lanes s = 1.0f / (exponential(-gate) + 1.0f);
      store_part(d_gate_up + row * 2 * f + i, g * up * (s * (gate * (1.0f - s) + 1.0f)), count);
      store_part(d_gate_up + row * 2 * f + f + i, g * (gate * s), count);
    }
}

GROUPER_CLONES void rope(const float* x, const int32_t* position, const float* cosine, const float* sine,
                         float direction, int64_t n, int64_t heads, int64_t k, float* y) {
  const int64_t half = k / 2;
  for (int64_t row = 0; row < n; ++row) {
    const float* c = cosine + position[row] * half;
    const float* s = sine + position[row] * half;
    for (int64_t head = 0; head < heads; ++head) {
      const float* in = x + (row * heads + head) * k;
      float* out = y + (row * heads + head) * k;
      for (int64_t i = 0; i < half; i += kLanes) {
        const int64_t count = std::min(kLanes, half - i);
        Lanes a, b, cosines, sines;
        load_part(a, in + i, count);
        load_part(b, in + half + i, count);
        load_part(cosines, c + i, count);
        load_part(sines, s + i, count);
        sines = sines * direction;
        store_part(out + i, a * cosines - b * sines, count);
        store_part(out + half + i, b * cosines + a * sines, count);
      }
    }
  }
}

GROUPER_CLONES void token_logprobs_forward(const float* logits, const int64_t* target, float inverse_temperature,
                                           int64_t n, int64_t v, int64_t vocabulary, float* logprob, float* entropy,
                                           float* log_normaliser) {
  for (int64_t row = 0; row < n; ++row) {
    const float* in = logits + row * v;
    float top = -std::numeric_limits<float>::infinity();
    for (int64_t i = 0; i < vocabulary; ++i) top = in[i] > top ? in[i] : top;
    top *= inverse_temperature;
    Lanes total{}, weighted{};
    for (int64_t i = 0; i < vocabulary; i += kLanes) {
      const int64_t count = std::min(kLanes, vocabulary - i);
      Lanes a;
      load_part(a, in + i, count);
      Lanes shifted = a * inverse_temperature - top;
      for (int64_t j = count; j < kLanes; ++j) shifted[j] = -std::numeric_limits<float>::infinity();
      const Lanes e = exponential(shifted);
      total += e;
      weighted += e * (e > Lanes{} ? shifted : Lanes{});
    }
    const float normaliser = sum(total);
    const float log_total = std::log(normaliser);
    log_normaliser[row] = top + log_total;
    logprob[row] = (in[target[row]] * inverse_temperature - top) - log_total;
    entropy[row] = log_total - sum(weighted) / normaliser;
  }
}

GROUPER_CLONES void token_logprobs_backward(float* logits, const int64_t* target, const float* weight,
                                            const float* log_normaliser, float inverse_temperature, int64_t n,
                                            int64_t v, int64_t vocabulary) {
  for (int64_t row = 0; row < n; ++row) {
    float* in = logits + row * v;
    const float outer = weight[row] * inverse_temperature;
    for (int64_t i = 0; i < vocabulary; i += kLanes) {
      const int64_t count = std::min(kLanes, vocabulary - i);
      Lanes a;
      load_part(a, in + i, count);
      store_part(in + i, exponential(a * inverse_temperature - log_normaliser[row]) * -outer, count);
    }
    std::fill(in + vocabulary, in + v, 0.0f);
    in[target[row]] += outer;
  }
}

GROUPER_CLONES void attention_forward(const float* q, const float* key, const float* value, const int32_t* segments,
                                      int64_t n_segments, int64_t heads, int64_t kv_heads, int64_t k, float scale,
                                      float* out, float* log_sum) {
  Tile tile(k);
  const int64_t per_kv = heads / kv_heads;
  std::vector<Running> state;
  std::vector<Query> queries;
  std::vector<float> sums;
  for (int64_t s = 0; s < n_segments; ++s) {
    const Segment segment = segment_at(segments, s);
    const int64_t end = segment.prefix_length + segment.length;
    for (int64_t kv = 0; kv < kv_heads; ++kv) {
      state.assign(segment.length * per_kv, Running{});
      sums.assign(segment.length * per_kv * tile.padded, 0.0f);
      for (int64_t first = 0; first < end; first += kTile) {
        gather(tile, key, value, segment, first, std::min(kTile, end - first), kv_heads, kv);
        queries.clear();
        for (int64_t i = std::max<int64_t>(0, first - segment.prefix_length); i < segment.length; ++i) {
          const int64_t count = std::min(kTile, segment.prefix_length + i + 1 - first);
          for (int64_t h = 0; h < per_kv; ++h)
            queries.push_back({q + ((segment.start + i) * heads + kv * per_kv + h) * k, count,
                               &state[i * per_kv + h], sums.data() + (i * per_kv + h) * tile.padded});
        }
        attend(queries.data(), static_cast<int64_t>(queries.size()), tile.key_columns.data(), tile.value_rows.data(), k,
               tile.padded, scale);
      }
      for (int64_t i = 0; i < segment.length; ++i)
        for (int64_t h = 0; h < per_kv; ++h) {
          const Running& done = state[i * per_kv + h];
          const int64_t at = (segment.start + i) * heads + kv * per_kv + h;
          finish(done, sums.data() + (i * per_kv + h) * tile.padded, k, out + at * k);
          log_sum[at] = done.top + std::log(done.total);
        }
    }
  }
}

int64_t page_floats(int64_t kv_heads, int64_t k) { return kv_heads * kTile * (k + round_up(k)); }

void page_write(const float* key, const float* value, const int32_t* page, const int32_t* slot, int64_t n,
                int64_t kv_heads, int64_t k, int64_t stride, int64_t layer, float* arena) {
  const int64_t padded = round_up(k), head_floats = kTile * (k + padded);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t kv = 0; kv < kv_heads; ++kv) {
      float* columns = arena + page[row] * stride + (layer * kv_heads + kv) * head_floats;
      float* rows = columns + k * kTile + slot[row] * padded;
      const float* from = key + (row * kv_heads + kv) * k;
      for (int64_t i = 0; i < k; ++i) columns[i * kTile + slot[row]] = from[i];
      std::copy(value + (row * kv_heads + kv) * k, value + (row * kv_heads + kv + 1) * k, rows);
      std::fill(rows + k, rows + padded, 0.0f);
    }
}

GROUPER_CLONES void attention_paged(const float* q, const float* arena, const int32_t* pages, int64_t max_pages,
                                    const int32_t* lengths, int64_t n, int64_t heads, int64_t kv_heads, int64_t k,
                                    int64_t stride, int64_t layer, float scale, float* out) {
  const int64_t per_kv = heads / kv_heads, padded = round_up(k), head_floats = kTile * (k + padded);
  std::vector<float> sums(per_kv * padded);
  std::vector<Running> state(per_kv);
  std::vector<Query> queries(per_kv);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t kv = 0; kv < kv_heads; ++kv) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      std::fill(state.begin(), state.end(), Running{});
      const int64_t at = (row * heads + kv * per_kv) * k;
      for (int64_t first = 0; first < lengths[row]; first += kTile) {
        const float* columns =
            arena + pages[row * max_pages + first / kTile] * stride + (layer * kv_heads + kv) * head_floats;
        const int64_t count = std::min<int64_t>(kTile, lengths[row] - first);
        for (int64_t h = 0; h < per_kv; ++h) queries[h] = {q + at + h * k, count, &state[h], sums.data() + h * padded};
        attend(queries.data(), per_kv, columns, columns + k * kTile, k, padded, scale);
      }
      for (int64_t h = 0; h < per_kv; ++h) finish(state[h], sums.data() + h * padded, k, out + at + h * k);
    }
}

GROUPER_CLONES void attention_backward(const float* d_out, const float* q, const float* key, const float* value,
                                       const float* out, const float* log_sum, const int32_t* segments,
                                       int64_t n_segments, int64_t heads, int64_t kv_heads, int64_t k, float scale,
                                       float* dq, float* dkey, float* dvalue) {
  Tile tile(k);
  const int64_t per_kv = heads / kv_heads;
  std::vector<float> tile_dkey(kTile * tile.padded), tile_dvalue(kTile * tile.padded);
  std::vector<float> q_row(tile.padded), d_row(tile.padded), delta, sums;
  for (int64_t s = 0; s < n_segments; ++s) {
    const Segment segment = segment_at(segments, s);
    const int64_t end = segment.prefix_length + segment.length;
    for (int64_t kv = 0; kv < kv_heads; ++kv) {
      delta.assign(segment.length * per_kv, 0.0f);
      sums.assign(segment.length * per_kv * tile.padded, 0.0f);
      for (int64_t i = 0; i < segment.length; ++i)
        for (int64_t h = 0; h < per_kv; ++h) {
          const int64_t at = ((segment.start + i) * heads + kv * per_kv + h) * k;
          for (int64_t j = 0; j < k; ++j) delta[i * per_kv + h] += d_out[at + j] * out[at + j];
        }
      for (int64_t first = 0; first < end; first += kTile) {
        const int64_t held = std::min(kTile, end - first);
        gather(tile, key, value, segment, first, held, kv_heads, kv);
        std::fill(tile_dkey.begin(), tile_dkey.end(), 0.0f);
        std::fill(tile_dvalue.begin(), tile_dvalue.end(), 0.0f);
        for (int64_t i = std::max<int64_t>(0, first - segment.prefix_length); i < segment.length; ++i) {
          const int64_t count = std::min(kTile, segment.prefix_length + i + 1 - first);
          for (int64_t h = 0; h < per_kv; ++h) {
            const int64_t row = (segment.start + i) * heads + kv * per_kv + h;
            std::copy(q + row * k, q + (row + 1) * k, q_row.begin());
            std::copy(d_out + row * k, d_out + (row + 1) * k, d_row.begin());
            float p[kTile], ds[kTile];
            Lanes low, high, d_low, d_high;
            against_columns(q_row.data(), tile.key_columns.data(), k, low, high);
            low = exponential(low * scale - log_sum[row]);
            high = exponential(high * scale - log_sum[row]);
            against_columns(d_row.data(), tile.value_columns.data(), k, d_low, d_high);
            const float mean = delta[i * per_kv + h];
            store(p, low);
            store(p + kHalf, high);
            store(ds, low * (d_low - mean) * scale);
            store(ds + kHalf, high * (d_high - mean) * scale);
            for (int64_t c = 0; c < tile.padded; c += kLanes) {
              Lanes query, grad, acc;
              load(query, q_row.data() + c);
              load(grad, d_row.data() + c);
              load(acc, sums.data() + (i * per_kv + h) * tile.padded + c);
              for (int64_t j = 0; j < count; ++j) {
                Lanes row_key, row_dkey, row_dvalue;
                load(row_key, tile.key_rows.data() + j * tile.padded + c);
                load(row_dkey, tile_dkey.data() + j * tile.padded + c);
                load(row_dvalue, tile_dvalue.data() + j * tile.padded + c);
                acc += ds[j] * row_key;
                store(tile_dkey.data() + j * tile.padded + c, row_dkey + ds[j] * query);
                store(tile_dvalue.data() + j * tile.padded + c, row_dvalue + p[j] * grad);
              }
              store(sums.data() + (i * per_kv + h) * tile.padded + c, acc);
            }
          }
        }
        for (int64_t j = 0; j < held; ++j) {
          const int64_t at = (row_of(segment, first + j) * kv_heads + kv) * k;
          for (int64_t c = 0; c < k; ++c) {
            dkey[at + c] += tile_dkey[j * tile.padded + c];
            dvalue[at + c] += tile_dvalue[j * tile.padded + c];
          }
        }
      }
      for (int64_t i = 0; i < segment.length; ++i)
        for (int64_t h = 0; h < per_kv; ++h)
          for (int64_t j = 0; j < k; ++j)
            dq[((segment.start + i) * heads + kv * per_kv + h) * k + j] =
                sums[(i * per_kv + h) * tile.padded + j];
    }
  }
}

}  // namespace grouper
