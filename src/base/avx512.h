// avx512.h — For the files that hold AVX-512 kernels (base/kernel.h), and for no other.
//
// The project is built for x86-64-v2: functions that want more say so, each for itself, so that
// nothing else in a file can come to need it.
#pragma once

#if defined(__x86_64__)
// g++ 12 takes its own "undefined" vectors in these headers for a mistake (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#define WEIR_AVX512                                                                               \
  __attribute__((                                                                                 \
      target("avx512f,avx512cd,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,bmi,bmi2,lzcnt," \
             "popcnt")))
#define WEIR_AVX512_INLINE WEIR_AVX512 inline __attribute__((always_inline))
#endif
