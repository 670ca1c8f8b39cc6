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

// Logits first to first + kChunk of n, with minus infinity past the end.
GROUPER_INLINE void load_chunk(float* to, const float* logits, int64_t first, int64_t n) {
  if (first + kChunk <= n) {
    std::memcpy(to, logits + first, kChunk * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < kChunk; ++i) to[i] = first + i < n ? logits[first + i] : -kInfinity;
}

GROUPER_INLINE bool any(const Words& mask) {
  uint64_t part[8];
  std::memcpy(part, &mask, sizeof part);
  return (part[0] | part[1] | part[2] | part[3] | part[4] | part[5] | part[6] | part[7]) != 0;
}

GROUPER_INLINE bool any(const int32_t* flags, int64_t n) {
  int32_t some = 0;
  for (int64_t i = 0; i < n; ++i) some |= flags[i];
  return some != 0;
}

// Where the largest logit is.
struct Top {
  float value = -kInfinity;
  int64_t chunk = 0;  // its chunk's first id
};

GROUPER_INLINE Top find_top(const float* logits, int64_t n) {
  Top top;
  for (int64_t first = 0; first < n; first += kChunk) {
    alignas(64) float chunk[kChunk];
    load_chunk(chunk, logits, first, n);
    Lanes best = Lanes{} + top.value;
    for (int64_t v = 0; v < kChunk; v += kLanes) {
      Lanes a;
      std::memcpy(&a, chunk + v, sizeof a);
      best = a > best ? a : best;
    }
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

// A word mapped to (0, 1): the centres of 2^23 cells.
GROUPER_INLINE float open_unit(uint32_t word) {
  return (static_cast<float>(static_cast<int32_t>(word >> 9)) + 0.5f) * (1.0f / 8388608.0f);
}

// Whether noise is surely below `behind`, told without a logarithm. -ln u >= 1 - u, so the noise is at most -ln(1 - u),
// which exceeds t only where 1 - u < e^-t; and e^-t is less than (1 + t / 64)^-64 for t > 0. A thousandth is left for
// rounding.
GROUPER_INLINE bool cannot_win(float unit, float behind) {
  float growth = behind * (1.0f / 64.0f) + 1.0f;
  for (int i = 0; i < 6; ++i) growth = growth * growth;
  return (behind > 0.0f) & ((1.0f - unit) * growth > 1.001f);
}

struct Best {
  float value = -kInfinity;
  int64_t id = 0;
};

// Lets the ids of the chunk at `first` compete.
GROUPER_INLINE void compete(Best& best, const float* logits, int64_t first, int64_t n, float scale,
                            const uint32_t* counter, const uint32_t* key) {
  // Flags of numbers, set in loops that the compiler turns into vectors: masks of whole vectors it takes apart.
  alignas(64) float scaled[kChunk], unit[kChunk];
  alignas(64) int32_t able[kChunk];
  load_chunk(scaled, logits, first, n);
  const float value = best.value;
  for (int64_t i = 0; i < kChunk; ++i) {
    scaled[i] = scaled[i] * scale;
    able[i] = value - scaled[i] <= kLargestNoise;
  }
  // Most tokens of a trained policy cannot win whatever their noise, and need none.
  if (!any(able, kChunk)) return;
  alignas(64) Unsigned words[kVectors];
  philox(counter, key, static_cast<uint32_t>(first / 4), words);
  alignas(64) uint32_t word[kChunk];
  std::memcpy(word, words, sizeof word);
  for (int64_t i = 0; i < kChunk; ++i) {
    const float behind = value - scaled[i];
    unit[i] = open_unit(word[i]);
    able[i] = (behind <= kLargestNoise) & !cannot_win(unit[i], behind);
  }
  for (int64_t v = 0; v < kChunk; v += kLanes) {
    if (!any(able + v, kLanes)) continue;
    for (int64_t i = v; i < v + kLanes; ++i) {
      // The best may have moved since.
      if (able[i] == 0 || cannot_win(unit[i], best.value - scaled[i])) continue;
      const float with_noise = scaled[i] - std::log(-std::log(unit[i]));
      const int64_t id = first + i;
      if (with_noise > best.value || (with_noise == best.value && id < best.id)) best = {with_noise, id};
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
