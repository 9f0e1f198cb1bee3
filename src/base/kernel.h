// kernel.h — Which of the hot loops' forms a program runs: chosen once at start.
//
// The portable form is the specification. The other is tested against it wherever the CPU has it.
#pragma once

#include <cstdint>

namespace weir {

enum class Kernel : uint8_t { portable, avx512_vbmi2 };

/// The best kernel that this CPU runs.
inline Kernel best_kernel() noexcept {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
      __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2")) {
    return Kernel::avx512_vbmi2;
  }
#endif
  return Kernel::portable;
}

}  // namespace weir
