// SHA-1 of one block, as FIPS 180-4 has it, and by the CPU's own instructions, which take a quarter of the time.
#include <cstring>

#include "base/byte_order.h"
#include "transform/community_id.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace weir::transform {
namespace {

constexpr uint32_t kInitial[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};

constexpr uint32_t rotated(uint32_t v, int n) noexcept { return v << n | v >> (32 - n); }

#if defined(__x86_64__)

bool has_sha() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kSha = 1u << 29;  // of leaf 7's EBX
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kSha) != 0;
}

const bool kHasSha = has_sha();

#define WEIR_SHA __attribute__((target("sha,sse4.1")))

/// Four rounds at a time: `words[i % 4]` are the i-th four of the message schedule, the first of them the highest.
WEIR_SHA Sha1Digest by_instructions(__m128i w0, __m128i w1, __m128i w2, __m128i w3) noexcept {
  const __m128i reversed = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
  __m128i words[4] = {w0, w1, w2, w3};
  const __m128i begin = _mm_set_epi32(static_cast<int>(kInitial[0]), static_cast<int>(kInitial[1]), static_cast<int>(kInitial[2]),
                                      static_cast<int>(kInitial[3]));
  const __m128i begin_e = _mm_set_epi32(static_cast<int>(kInitial[4]), 0, 0, 0);
  __m128i abcd = begin, before = begin;
  // The rounds' function must be a constant of the instruction.
#define WEIR_ROUNDS_(i, function)                                                                                     \
  {                                                                                                                   \
    if ((i) >= 4) {                                                                                                   \
      words[(i) % 4] = _mm_sha1msg2_epu32(                                                                            \
          _mm_xor_si128(_mm_sha1msg1_epu32(words[(i) % 4], words[((i) + 1) % 4]), words[((i) + 2) % 4]), words[((i) + 3) % 4]); \
    }                                                                                                                 \
    const __m128i e = (i) == 0 ? _mm_add_epi32(begin_e, words[0]) : _mm_sha1nexte_epu32(before, words[(i) % 4]);      \
    before = abcd;                                                                                                    \
    abcd = _mm_sha1rnds4_epu32(abcd, e, function);                                                                    \
  }
#define WEIR_TWENTY_ROUNDS_(i, function)                                                        \
  WEIR_ROUNDS_(i, function)                                                                     \
  WEIR_ROUNDS_((i) + 1, function)                                                               \
  WEIR_ROUNDS_((i) + 2, function) WEIR_ROUNDS_((i) + 3, function) WEIR_ROUNDS_((i) + 4, function)
  WEIR_TWENTY_ROUNDS_(0, 0)
  WEIR_TWENTY_ROUNDS_(5, 1)
  WEIR_TWENTY_ROUNDS_(10, 2)
  WEIR_TWENTY_ROUNDS_(15, 3)
#undef WEIR_TWENTY_ROUNDS_
#undef WEIR_ROUNDS_
  const __m128i e = _mm_sha1nexte_epu32(before, begin_e);
  abcd = _mm_shuffle_epi8(_mm_add_epi32(abcd, begin), reversed);
  Sha1Digest digest;
  std::memcpy(digest.data(), &abcd, sizeof abcd);
  store_be32(digest.data() + 16, static_cast<uint32_t>(_mm_extract_epi32(e, 3)));
  return digest;
}

WEIR_SHA Sha1Digest by_instructions(const uint8_t (&block)[64]) noexcept {
  const __m128i reversed = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
  __m128i words[4];
  for (int i = 0; i < 4; ++i) {
    std::memcpy(&words[i], block + 16 * i, sizeof words[i]);
    words[i] = _mm_shuffle_epi8(words[i], reversed);
  }
  return by_instructions(words[0], words[1], words[2], words[3]);
}

WEIR_SHA Sha1Digest by_instructions(uint64_t first, uint64_t second) noexcept {
  constexpr uint64_t kEnd = uint64_t{1} << 63, kBits = 128;
  return by_instructions(_mm_set_epi64x(static_cast<int64_t>(first), static_cast<int64_t>(second)), _mm_set_epi64x(static_cast<int64_t>(kEnd), 0),
                         _mm_setzero_si128(), _mm_set_epi64x(0, kBits));
}

#endif

}  // namespace

Sha1Digest sha1_of_block_portable(const uint8_t (&block)[64]) noexcept {
  uint32_t w[80];
  for (int i = 0; i < 16; ++i) w[i] = load_be32(block + 4 * i);
  for (int i = 16; i < 80; ++i) w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  uint32_t a = kInitial[0], b = kInitial[1], c = kInitial[2], d = kInitial[3], e = kInitial[4];
  for (int i = 0; i < 80; ++i) {
    uint32_t f = b ^ c ^ d, k = i < 40 ? 0x6ed9eba1 : 0xca62c1d6;
    if (i < 20) f = (b & c) | (~b & d), k = 0x5a827999;
    else if (i >= 40 && i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
    const uint32_t next = rotated(a, 5) + f + e + k + w[i];
    e = d;
    d = c;
    c = rotated(b, 30);
    b = a;
    a = next;
  }
  Sha1Digest digest;
  const uint32_t sums[5] = {kInitial[0] + a, kInitial[1] + b, kInitial[2] + c, kInitial[3] + d, kInitial[4] + e};
  for (size_t i = 0; i < 5; ++i) store_be32(digest.data() + 4 * i, sums[i]);
  return digest;
}

Sha1Digest sha1_of_16(uint64_t first, uint64_t second) noexcept {
#if defined(__x86_64__)
  if (kHasSha) return by_instructions(first, second);
#endif
  uint8_t block[64] = {};
  store_be64(block, first);
  store_be64(block + 8, second);
  block[16] = 0x80;
  block[63] = 128;  // bits
  return sha1_of_block_portable(block);
}

Sha1Digest sha1_of_block(const uint8_t (&block)[64]) noexcept {
#if defined(__x86_64__)
  if (kHasSha) return by_instructions(block);
#endif
  return sha1_of_block_portable(block);
}

}  // namespace weir::transform
