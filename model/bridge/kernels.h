// CPU kernels that sampler and trainer share.
//
// Exact by construction: every output row is computed by one fixed sequence of operations that depends on that
// row's own inputs alone. It depends neither on how many rows a call holds nor on the thread that runs it, and
// tails go through the same 16-lane code as full vectors, padded with zeros. So a token's numbers are the same
// bits whether it was decoded in a batch of three or trained in a packed row of thousands.
#pragma once
#include <cstdint>

namespace grouper {

// y = x / sqrt(mean(x^2) + eps) * (offset + w) for each of n rows of width d; rstd receives the n reciprocal roots.
void rms_norm_forward(const float* x, const float* w, float offset, float eps, int64_t n, int64_t d, float* y,
                      float* rstd);

// Gradient of rms_norm with respect to x.
void rms_norm_backward(const float* dy, const float* x, const float* w, float offset, const float* rstd, int64_t n,
                       int64_t d, float* dx);

// Adds to columns first to last of dw the gradient of rms_norm with respect to w, row by row.
void rms_norm_weight_gradient(const float* dy, const float* x, const float* rstd, int64_t n, int64_t d, int64_t first,
                              int64_t last, float* dw);

// What a gate goes through. Both are x * sigmoid(z): z is x for SiLU, and sqrt(8 / pi) * (x + 0.044715 x^3) for GELU by its
// tanh approximation, since 1 + tanh(z / 2) = 2 sigmoid(z).
constexpr int32_t kSilu = 0, kGeluTanh = 1;

// y = activation(gate) * up for f columns of n rows; rows of gate and up begin `step` numbers apart, those of y y_step.
void gated_forward(int32_t activation, const float* gate, const float* up, int64_t n, int64_t step, int64_t f, float* y,
                   int64_t y_step);

// Turns gate_up into the gradient of the gated product with respect to it, and dy into that product.
void gated_backward(int32_t activation, float* dy, float* gate_up, int64_t n, int64_t f);

// Rotates pairs (x1, x2) of the columns `from` to `from + width` of heads of k numbers to (x1 cos - x2 sin, x2 cos + x1
// sin): two neighbours, or a column of each half. cos and sin are [positions, width / 2]; direction is 1 forward and -1
// for the gradient. Rows of x begin x_step numbers apart, those of y y_step. Columns beside those are not written. y may
// be x.
void rope(bool neighbours, const float* x, int64_t x_step, const int32_t* position, const float* cosine,
          const float* sine, float direction, int64_t n, int64_t heads, int64_t k, int64_t from, int64_t width, float* y,
          int64_t y_step);

// For each row of logits: the log-probability of target under softmax(logits * inverse_temperature) over the first
// `vocabulary` ids, the entropy of that distribution, and its log-normaliser.
void token_logprobs_forward(const float* logits, const int64_t* target, float inverse_temperature, int64_t n, int64_t v,
                            int64_t vocabulary, float* logprob, float* entropy, float* log_normaliser);

// Turns logits into the gradient of sum(weight * logprob), in place.
void token_logprobs_backward(float* logits, const int64_t* target, const float* weight, const float* log_normaliser,
                             float inverse_temperature, int64_t n, int64_t v, int64_t vocabulary);

}  // namespace grouper
