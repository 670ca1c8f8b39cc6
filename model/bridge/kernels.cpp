#include "kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

// One body, compiled for AVX-512, AVX2 and the baseline, chosen at load time.
#define GROUPER_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#define GROUPER_INLINE inline __attribute__((always_inline))

namespace grouper {
namespace {

constexpr int64_t kLanes = 16;

typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t Words __attribute__((vector_size(64)));

GROUPER_INLINE void load(Lanes& to, const float* from) { std::memcpy(&to, from, sizeof to); }
GROUPER_INLINE void store(float* to, const Lanes& from) { std::memcpy(to, &from, sizeof from); }

// `count` of sixteen numbers, with zeros behind them. Nearly always it is all: a copy whose length the compiler does not
// know is a call.
GROUPER_INLINE void load_part(Lanes& to, const float* from, int64_t count) {
  if (count == kLanes) return load(to, from);
  to = Lanes{};
  std::memcpy(&to, from, static_cast<size_t>(count) * sizeof(float));
}

GROUPER_INLINE void store_part(float* to, const Lanes& from, int64_t count) {
  if (count == kLanes) return store(to, from);
  std::memcpy(to, &from, static_cast<size_t>(count) * sizeof(float));
}

// What is added to sixteen weights: where that is nothing -0, which leaves every number as it is, -0 among them.
GROUPER_INLINE Lanes shift_of(float offset) {
  Lanes shift;
  for (int64_t i = 0; i < kLanes; ++i) shift[i] = offset == 0.0f ? -0.0f : offset;
  return shift;
}

// The sum of sixteen lanes, as a balanced tree.
GROUPER_INLINE float sum(const Lanes& lanes) {
  float part[16];
  store(part, lanes);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) part[i] += part[i + width];
  return part[0];
}

// The largest of n numbers. Four vectors side by side: a comparison need not wait for the one before it.
GROUPER_INLINE float largest(const float* numbers, int64_t n) {
  constexpr int64_t kChains = 4;
  Lanes best[kChains];
  for (int64_t c = 0; c < kChains; ++c) best[c] = Lanes{} - std::numeric_limits<float>::infinity();
  int64_t i = 0;
  for (; i + kChains * kLanes <= n; i += kChains * kLanes)
    for (int64_t c = 0; c < kChains; ++c) {
      Lanes a;
      load(a, numbers + i + c * kLanes);
      best[c] = a > best[c] ? a : best[c];
    }
  float top = -std::numeric_limits<float>::infinity();
  for (int64_t c = 0; c < kChains; ++c)
    for (int64_t j = 0; j < kLanes; ++j) top = best[c][j] > top ? best[c][j] : top;
  for (; i < n; ++i) top = numbers[i] > top ? numbers[i] : top;
  return top;
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

// sqrt(8 / pi), and the share of the cube in what GELU's sigmoid is of.
constexpr float kGeluScale = 1.5957691216057308f, kGeluCube = 0.044715f;

// Within +-20: the sigmoid is 0 or 1 long before, and a cube beyond may be infinite.
GROUPER_INLINE Lanes bounded(Lanes x) {
  const Lanes zero{};
  x = x > zero + 20.0f ? zero + 20.0f : x;
  return x < zero - 20.0f ? zero - 20.0f : x;
}

// What an activation's sigmoid is of.
template <int32_t kActivation>
GROUPER_INLINE Lanes inner(Lanes x) {
  if (kActivation == kSilu) return x;
  x = bounded(x);
  return (x * x * kGeluCube + 1.0f) * (x * kGeluScale);
}

// x times the derivative of that.
template <int32_t kActivation>
GROUPER_INLINE Lanes slope(Lanes x) {
  if (kActivation == kSilu) return x;
  x = bounded(x);
  return (x * x * (3.0f * kGeluCube) + 1.0f) * (x * kGeluScale);
}

template <int32_t kActivation>
GROUPER_INLINE void gate_rows(const float* gate, const float* up, int64_t n, int64_t step, int64_t f, float* y,
                              int64_t y_step) {
  for (int64_t row = 0; row < n; ++row)
    for (int64_t i = 0; i < f; i += kLanes) {
      const int64_t count = std::min(kLanes, f - i);
      Lanes a, b;
      load_part(a, gate + row * step + i, count);
      load_part(b, up + row * step + i, count);
      // What the next row reads may lie far.
      __builtin_prefetch(gate + (row + 1) * step + i);
      __builtin_prefetch(up + (row + 1) * step + i);
      store_part(y + row * y_step + i, a / (exponential(-inner<kActivation>(a)) + 1.0f) * b, count);
    }
}

template <int32_t kActivation>
GROUPER_INLINE void gate_gradient(float* dy, float* gate_up, int64_t n, int64_t f) {
  for (int64_t row = 0; row < n; ++row)
    for (int64_t i = 0; i < f; i += kLanes) {
      const int64_t count = std::min(kLanes, f - i);
      Lanes g, gate, up;
      load_part(g, dy + row * f + i, count);
      load_part(gate, gate_up + row * 2 * f + i, count);
      load_part(up, gate_up + row * 2 * f + f + i, count);
      // What the next row reads was kept long ago and lies far.
      __builtin_prefetch(gate_up + (row + 1) * 2 * f + i, 1);
      __builtin_prefetch(gate_up + (row + 1) * 2 * f + f + i, 1);
      const Lanes below = exponential(-inner<kActivation>(gate)) + 1.0f, s = 1.0f / below;
      store_part(dy + row * f + i, gate / below * up, count);
      store_part(gate_up + row * 2 * f + i, g * up * (s * (slope<kActivation>(gate) * (1.0f - s) + 1.0f)), count);
      store_part(gate_up + row * 2 * f + f + i, g * (gate * s), count);
    }
}

// Pairs i to i + count of 2 * half columns, no more than lanes: a column of each half.
struct Halves {
  static GROUPER_INLINE void load_pairs(const float* in, int64_t half, int64_t i, int64_t count, Lanes& a, Lanes& b) {
    load_part(a, in + i, count);
    load_part(b, in + half + i, count);
  }
  static GROUPER_INLINE void store_pairs(float* out, int64_t half, int64_t i, int64_t count, Lanes a, Lanes b) {
    store_part(out + i, a, count);
    store_part(out + half + i, b, count);
  }
};

// The same with two neighbours as a pair.
struct Neighbours {
  static GROUPER_INLINE void load_pairs(const float* in, int64_t, int64_t i, int64_t count, Lanes& a, Lanes& b) {
    const Words evens = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
    const int64_t left = std::min(kLanes, 2 * count);
    Lanes first, second;
    load_part(first, in + 2 * i, left);
    load_part(second, in + 2 * i + kLanes, 2 * count - left);
    a = __builtin_shuffle(first, second, evens);
    b = __builtin_shuffle(first, second, evens + 1);
  }
  static GROUPER_INLINE void store_pairs(float* out, int64_t, int64_t i, int64_t count, Lanes a, Lanes b) {
    const Words front = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
    const int64_t left = std::min(kLanes, 2 * count);
    store_part(out + 2 * i, __builtin_shuffle(a, b, front), left);
    store_part(out + 2 * i + kLanes, __builtin_shuffle(a, b, front + 8), 2 * count - left);
  }
};

template <class Pairs>
GROUPER_INLINE void rotate(const float* x, int64_t x_step, const int32_t* position, const float* cosine,
                           const float* sine, float direction, int64_t n, int64_t heads, int64_t k, int64_t from,
                           int64_t width, float* y, int64_t y_step) {
  const int64_t half = width / 2;
  for (int64_t row = 0; row < n; ++row) {
    const float* c = cosine + position[row] * half;
    const float* s = sine + position[row] * half;
    for (int64_t head = 0; head < heads; ++head) {
      const float* in = x + row * x_step + head * k + from;
      float* out = y + row * y_step + head * k + from;
      for (int64_t i = 0; i < half; i += kLanes) {
        const int64_t count = std::min(kLanes, half - i);
        Lanes a, b, cosines, sines;
        Pairs::load_pairs(in, half, i, count, a, b);
        load_part(cosines, c + i, count);
        load_part(sines, s + i, count);
        sines = sines * direction;
        Pairs::store_pairs(out, half, i, count, a * cosines - b * sines, b * cosines + a * sines);
      }
    }
  }
}

}  // namespace

GROUPER_CLONES void rms_norm_forward(const float* x, const float* w, float offset, float eps, int64_t n, int64_t d,
                                     float* y, float* rstd) {
  const Lanes shift = shift_of(offset);
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
      store_part(y + row * d + i, (b + shift) * (a * scale), count);
    }
  }
}

GROUPER_CLONES void rms_norm_backward(const float* dy, const float* x, const float* w, float offset, const float* rstd,
                                      int64_t n, int64_t d, float* dx) {
  const Lanes shift = shift_of(offset);
  for (int64_t row = 0; row < n; ++row) {
    const float scale = rstd[row];
    Lanes products{};
    for (int64_t i = 0; i < d; i += kLanes) {
      const int64_t count = std::min(kLanes, d - i);
      Lanes g, a, b;
      load_part(g, dy + row * d + i, count);
      load_part(a, x + row * d + i, count);
      load_part(b, w + i, count);
      products += (g * (b + shift)) * (a * scale);
    }
    const float mean = sum(products) / static_cast<float>(d);
    for (int64_t i = 0; i < d; i += kLanes) {
      const int64_t count = std::min(kLanes, d - i);
      Lanes g, a, b;
      load_part(g, dy + row * d + i, count);
      load_part(a, x + row * d + i, count);
      load_part(b, w + i, count);
      store_part(dx + row * d + i, (g * (b + shift) - (a * scale) * mean) * scale, count);
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

GROUPER_CLONES void gated_forward(int32_t activation, const float* gate, const float* up, int64_t n, int64_t step,
                                  int64_t f, float* y, int64_t y_step) {
  if (activation == kSilu)
    gate_rows<kSilu>(gate, up, n, step, f, y, y_step);
  else
    gate_rows<kGeluTanh>(gate, up, n, step, f, y, y_step);
}

GROUPER_CLONES void gated_backward(int32_t activation, float* dy, float* gate_up, int64_t n, int64_t f) {
  if (activation == kSilu)
    gate_gradient<kSilu>(dy, gate_up, n, f);
  else
    gate_gradient<kGeluTanh>(dy, gate_up, n, f);
}

GROUPER_CLONES void rope(bool neighbours, const float* x, int64_t x_step, const int32_t* position, const float* cosine,
                         const float* sine, float direction, int64_t n, int64_t heads, int64_t k, int64_t from,
                         int64_t width, float* y, int64_t y_step) {
  if (neighbours)
    rotate<Neighbours>(x, x_step, position, cosine, sine, direction, n, heads, k, from, width, y, y_step);
  else
    rotate<Halves>(x, x_step, position, cosine, sine, direction, n, heads, k, from, width, y, y_step);
}

GROUPER_CLONES void token_logprobs_forward(const float* logits, const int64_t* target, float inverse_temperature,
                                           int64_t n, int64_t v, int64_t vocabulary, float* logprob, float* entropy,
                                           float* log_normaliser) {
  for (int64_t row = 0; row < n; ++row) {
    const float* in = logits + row * v;
    const float top = largest(in, vocabulary) * inverse_temperature;
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

}  // namespace grouper
