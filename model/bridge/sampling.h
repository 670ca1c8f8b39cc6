// Drawing a token from a row of logits.
//
// Gumbel-max with keyed noise: the token drawn is the argmax of logit * scale + g(id), where g(id) = -ln(-ln u) and u is
// word id % 4 of Philox block id / 4, mapped to the open interval (0, 1). Ties go to the lowest id. NaN and
// minus infinity win nowhere.
#pragma once
#include <cstdint>

namespace grouper {

// The id of the largest of n logits; 0 where none is larger than minus infinity.
int64_t argmax(const float* logits, int64_t n);

// The id drawn from n logits. `counter` holds the first three words of the stream's counter, `key` its two words.
int64_t gumbel_argmax(const float* logits, int64_t n, float scale, const uint32_t* counter, const uint32_t* key);

}  // namespace grouper
