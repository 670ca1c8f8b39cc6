// Compiled without contraction: logit * scale + noise is rounded twice, here and wherever else it is written.
#include "sampling.h"

#include <cmath>
#include <cstring>
#include <limits>

#define GROUPER_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#define GROUPER_INLINE inline __attribute__((always_inline))

namespace grouper {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kVectors = 4;
constexpr int64_t kChunk = kVectors * kLanes;  // ids whose noise is made at once: 16 Philox blocks
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// No Gumbel noise is larger: -ln(-ln u) at the largest u there is, rounded up.
constexpr float kLargestNoise = 16.7f;

typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t Words __attribute__((vector_size(64)));
typedef uint32_t Unsigned __attribute__((vector_size(64)));
typedef uint64_t Wide __attribute__((vector_size(64)));

GROUPER_INLINE void load(Lanes& to, const float* from) { std::memcpy(&to, from, sizeof to); }

// Logits first to first + kChunk of n, with minus infinity past the end.
GROUPER_INLINE void load_chunk(Lanes* to, const float* logits, int64_t first, int64_t n) {
  if (first + kChunk <= n) {
    for (int v = 0; v < kVectors; ++v) load(to[v], logits + first + v * kLanes);
    return;
  }
  float padded[kChunk];
  for (int64_t i = 0; i < kChunk; ++i) padded[i] = first + i < n ? logits[first + i] : -kInfinity;
  for (int v = 0; v < kVectors; ++v) load(to[v], padded + v * kLanes);
}

GROUPER_INLINE bool any(const Words& mask) {
  uint64_t part[8];
  std::memcpy(part, &mask, sizeof part);
  return (part[0] | part[1] | part[2] | part[3] | part[4] | part[5] | part[6] | part[7]) != 0;
}

// Where the largest logit is.
struct Top {
  float value = -kInfinity;
  int64_t chunk = 0;  // its chunk's first id
};

GROUPER_INLINE Top find_top(const float* logits, int64_t n) {
  Top top;
  for (int64_t first = 0; first < n; first += kChunk) {
    Lanes chunk[kVectors], best = Lanes{} + top.value;
    load_chunk(chunk, logits, first, n);
    for (int v = 0; v < kVectors; ++v) best = chunk[v] > best ? chunk[v] : best;
    if (!any(best > top.value)) continue;
    top.chunk = first;
    for (int i = 0; i < kLanes; ++i) top.value = best[i] > top.value ? best[i] : top.value;
  }
  return top;
}

// The words of 16 Philox4x32-10 blocks from `block` on, in the order of their ids.
GROUPER_INLINE void philox(const uint32_t* counter, const uint32_t* key, uint32_t block, Unsigned* words) {
  constexpr uint64_t kLow = 0xffffffffu;
  const Wide lane = {0, 1, 2, 3, 4, 5, 6, 7};
  Wide c[2][4];
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 3; ++i) c[half][i] = Wide{} + counter[i];
    c[half][3] = (lane + (block + 8u * half)) & kLow;
  }
  uint32_t left = key[0], right = key[1];
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    for (int half = 0; half < 2; ++half) {
      Wide* at = c[half];
      const Wide low = at[0] * 0xD2511F53u, high = at[2] * 0xCD9E8D57u;
      at[0] = (high >> 32) ^ at[1] ^ left;
      at[1] = high & kLow;
      at[2] = (low >> 32) ^ at[3] ^ right;
      at[3] = low & kLow;
    }
    left += 0x9E3779B9u;
    right += 0xBB67AE85u;
  }
  for (int half = 0; half < 2; ++half) {
    const Wide front = c[half][0] | (c[half][1] << 32), back = c[half][2] | (c[half][3] << 32);
    const Wide first = __builtin_shuffle(front, back, Wide{0, 8, 1, 9, 2, 10, 3, 11});
    const Wide second = __builtin_shuffle(front, back, Wide{4, 12, 5, 13, 6, 14, 7, 15});
    std::memcpy(&words[2 * half], &first, sizeof first);
    std::memcpy(&words[2 * half + 1], &second, sizeof second);
  }
}

// Words mapped to (0, 1): the centres of 2^23 cells.
GROUPER_INLINE Lanes open_unit(const Unsigned& words) {
  return (__builtin_convertvector((Words)(words >> 9), Lanes) + 0.5f) * (1.0f / 8388608.0f);
}

// Whether noise is surely below `behind`, told without a logarithm. -ln u >= 1 - u, so the noise is at most -ln(1 - u),
// which exceeds t only where 1 - u < e^-t; and e^-t is less than (1 + t / 64)^-64 for t > 0. A thousandth is left for
// rounding. For a vector of units or a single one.
template <typename T>
GROUPER_INLINE auto cannot_win(const T& unit, const T& behind) {
  T growth = behind * (1.0f / 64.0f) + 1.0f;
  for (int i = 0; i < 6; ++i) growth = growth * growth;
  return (behind > T{}) & ((1.0f - unit) * growth > 1.001f);
}

struct Best {
  float value = -kInfinity;
  int64_t id = 0;
};

// Lets the ids of the chunk at `first` compete.
GROUPER_INLINE void compete(Best& best, const float* logits, int64_t first, int64_t n, float scale,
                            const uint32_t* counter, const uint32_t* key) {
  Lanes scaled[kVectors];
  load_chunk(scaled, logits, first, n);
  Words near{};
  for (int v = 0; v < kVectors; ++v) {
    scaled[v] = scaled[v] * scale;
    near |= best.value - scaled[v] <= kLargestNoise;
  }
  // Most tokens of a trained policy cannot win whatever their noise, and need none.
  if (!any(near)) return;
  Unsigned words[kVectors];
  philox(counter, key, static_cast<uint32_t>(first / 4), words);
  Lanes unit[kVectors];
  Words able[kVectors], some{};
  for (int v = 0; v < kVectors; ++v) {
    const Lanes behind = best.value - scaled[v];
    unit[v] = open_unit(words[v]);
    able[v] = (behind <= kLargestNoise) & ~cannot_win(unit[v], behind);
    some |= able[v];
  }
  if (!any(some)) return;
  for (int v = 0; v < kVectors; ++v) {
    if (!any(able[v])) continue;
    for (int i = 0; i < kLanes; ++i) {
      // The best may have moved since.
      if (able[v][i] == 0 || cannot_win<float>(unit[v][i], best.value - scaled[v][i])) continue;
      const float value = scaled[v][i] - std::log(-std::log(unit[v][i]));
      const int64_t id = first + v * kLanes + i;
      if (value > best.value || (value == best.value && id < best.id)) best = {value, id};
    }
  }
}

}  // namespace

GROUPER_CLONES int64_t argmax(const float* logits, int64_t n) {
  const Top top = find_top(logits, n);
  for (int64_t id = top.chunk; id < n; ++id)
    if (logits[id] == top.value) return id;
  return 0;
}

GROUPER_CLONES int64_t gumbel_argmax(const float* logits, int64_t n, float scale, const uint32_t* counter,
                                     const uint32_t* key) {
  Best best;
  // The likeliest token first: after it few others need their noise.
  compete(best, logits, find_top(logits, n).chunk, n, scale, counter, key);
  for (int64_t first = 0; first < n; first += kChunk) compete(best, logits, first, n, scale, counter, key);
  return best.id;
}

}  // namespace grouper
