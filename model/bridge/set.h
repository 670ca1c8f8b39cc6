// Which of the sets of instructions that kernels are compiled for this machine runs.
#pragma once

namespace grouper {

enum class Set { kAvx512, kAvx2, kSse2 };

inline Set machine_set() {
  // All of the level that the files were compiled for: the compiler may use any of it.
  static const Set set = __builtin_cpu_supports("x86-64-v4")   ? Set::kAvx512
                         : __builtin_cpu_supports("x86-64-v3") ? Set::kAvx2
                                                               : Set::kSse2;
  return set;
}

}  // namespace grouper

#define GROUPER_DISPATCH(call)              \
  switch (::grouper::machine_set()) {       \
    case Set::kAvx512: return avx512::call; \
    case Set::kAvx2: return avx2::call;     \
    default: return sse2::call;             \
  }
