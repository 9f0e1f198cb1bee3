#include "transform/community_id.h"

#include <cstring>
#include <utility>

#include "base/byte_order.h"
#include "transform/flow_facts.h"

#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

namespace weir::transform {
namespace {

constexpr uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpv6 = 58, kSctp = 132;

/// What answers a message, and what it answers. Others are of one way, and their ends are not put in order.
struct IcmpPair {
  uint8_t type, answer;
};
constexpr IcmpPair kIcmpPairs[] = {{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}};
constexpr IcmpPair kIcmpv6Pairs[] = {{128, 129}, {130, 131}, {133, 134}, {135, 136}, {139, 140}, {144, 145}};

const uint8_t* octets_of(std::string_view address) noexcept { return reinterpret_cast<const uint8_t*>(address.data()); }

/// -1 where there is none.
template <size_t N>
int answer_of(const IcmpPair (&pairs)[N], uint64_t type) noexcept {
  for (const IcmpPair& pair : pairs) {
    if (pair.type == type) return pair.answer;
    if (pair.answer == type) return pair.type;
  }
  return -1;
}

struct Ends {
  std::string_view source, destination;
  uint16_t source_port = 0, destination_port = 0;
  bool has_ports = false;
  bool keeps_order = false;
};

/// False of ICMPv6 whose type is not told: 0 is none.
bool take_ports(const FlowView& flow, uint8_t protocol, Ends& ends) noexcept {
  if (protocol == kTcp || protocol == kUdp || protocol == kSctp) {
    ends.has_ports = true;
    ends.source_port = static_cast<uint16_t>(flow[NumberSlot::src_port]);
    ends.destination_port = static_cast<uint16_t>(flow[NumberSlot::dst_port]);
  } else if (protocol == kIcmp || protocol == kIcmpv6) {
    const uint64_t type = flow[NumberSlot::icmp_type];
    if (protocol == kIcmpv6 && type == 0) return false;
    const int answer = protocol == kIcmp ? answer_of(kIcmpPairs, type) : answer_of(kIcmpv6Pairs, type);
    ends.has_ports = true;
    ends.keeps_order = answer < 0;
    ends.source_port = static_cast<uint16_t>(type);
    ends.destination_port = static_cast<uint16_t>(answer < 0 ? flow[NumberSlot::icmp_code] : static_cast<uint64_t>(answer));
  }
  return true;
}

template <size_t kOctets>
bool is_lesser(std::string_view a, std::string_view b) noexcept;
template <>
bool is_lesser<4>(std::string_view a, std::string_view b) noexcept {
  return load_be32(octets_of(a)) < load_be32(octets_of(b));
}
template <>
bool is_lesser<16>(std::string_view a, std::string_view b) noexcept {
  const uint64_t high_a = load_be64(octets_of(a)), high_b = load_be64(octets_of(b));
  return high_a != high_b ? high_a < high_b : load_be64(octets_of(a) + 8) < load_be64(octets_of(b) + 8);
}

/// Of addresses of kOctets.
// PERF: of a width that is known they are moved and compared without a call, and those of IPv4 stay in registers: what is stored in pieces
// and loaded as a whole waits until all before it is done (event, perf/bench_transform).
template <size_t kOctets>
Sha1Digest digest_of(Ends ends, uint8_t protocol) noexcept {
  if (!ends.keeps_order && (is_lesser<kOctets>(ends.destination, ends.source) ||
                            (ends.source_port > ends.destination_port && !is_lesser<kOctets>(ends.source, ends.destination)))) {
    std::swap(ends.source, ends.destination);
    std::swap(ends.source_port, ends.destination_port);
  }
  if (kOctets == 4 && ends.has_ports) {
    const uint64_t source = load_be32(octets_of(ends.source)), destination = load_be32(octets_of(ends.destination));
    return sha1_of_16(source << 16 | destination >> 16,  // seed 0 first
                      destination << 48 | uint64_t{protocol} << 40 | uint64_t{ends.source_port} << 16 | ends.destination_port);
  }
  uint8_t block[64] = {};  // likewise
  uint8_t* p = block + 2;
  std::memcpy(p, ends.source.data(), kOctets);
  std::memcpy(p + kOctets, ends.destination.data(), kOctets);
  p += 2 * kOctets;
  *p = protocol;
  p += 2;
  if (ends.has_ports) {
    store_be16(p, ends.source_port);
    store_be16(p + 2, ends.destination_port);
    p += 4;
  }
  store_be16(block + 62, static_cast<uint16_t>(8 * (p - block)));
  *p = 0x80;
  return sha1_of_block(block);
}

}  // namespace

void write_base64_portable(const Sha1Digest& digest, char* out) noexcept {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto put = [&](uint32_t three) {
    for (int shift = 18; shift >= 0; shift -= 6) *out++ = kDigits[three >> shift & 63];
  };
  for (size_t i = 0; i < 18; i += 3) put(static_cast<uint32_t>(digest[i] << 16 | digest[i + 1] << 8 | digest[i + 2]));
  put(static_cast<uint32_t>(digest[18] << 16 | digest[19] << 8));
  out[-1] = '=';  // one octet short of three
}

#if defined(__SSE4_1__)

namespace {

/// Twelve octets → sixteen characters.
// PERF: six bits to an octet by two multiplications, and all sixteen looked up at once, as W. Muła has shown
// (event, perf/bench_transform).
__m128i base64_of(__m128i twelve) noexcept {
  const __m128i threes = _mm_shuffle_epi8(twelve, _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
  const __m128i odd = _mm_mulhi_epu16(_mm_and_si128(threes, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
  const __m128i even = _mm_mullo_epi16(_mm_and_si128(threes, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
  const __m128i sixes = _mm_or_si128(odd, even);
  // Which run of the alphabet each is of: 0 of small letters, 1 to 10 of digits, 11 and 12 of + and /, 13 of capitals.
  const __m128i behind_letters = _mm_subs_epu8(sixes, _mm_set1_epi8(51));
  const __m128i capitals = _mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(26), sixes), _mm_set1_epi8(13));
  constexpr char kDigit = '0' - 52;
  const __m128i shifts = _mm_setr_epi8('a' - 26, kDigit, kDigit, kDigit, kDigit, kDigit, kDigit, kDigit, kDigit, kDigit, kDigit, '+' - 62, '/' - 63, 'A', 0, 0);
  return _mm_add_epi8(sixes, _mm_shuffle_epi8(shifts, _mm_or_si128(behind_letters, capitals)));
}

}  // namespace

void write_base64(const Sha1Digest& digest, char* out) noexcept {
  __m128i first;
  int32_t rest;
  std::memcpy(&first, digest.data(), 16);
  std::memcpy(&rest, digest.data() + 16, 4);
  const __m128i last = _mm_or_si128(_mm_srli_si128(first, 12), _mm_slli_si128(_mm_cvtsi32_si128(rest), 4));
  const __m128i begin = base64_of(first);
  const __m128i end = _mm_insert_epi8(base64_of(last), '=', kBase64Octets - 1 - 16);  // one octet short of three
  std::memcpy(out, &begin, 16);
  std::memcpy(out + 16, &end, 16);
}

#else

void write_base64(const Sha1Digest& digest, char* out) noexcept { write_base64_portable(digest, out); }

#endif

bool community_digest_of(const FlowView& flow, Sha1Digest& digest) noexcept {
  Ends ends{.source = flow[OctetsSlot::src_addr], .destination = flow[OctetsSlot::dst_addr]};
  const uint64_t protocol = flow[NumberSlot::proto];
  if (!is_address(ends.source) || ends.source.size() != ends.destination.size()) return false;
  if (protocol == 0 || protocol > UINT8_MAX || !take_ports(flow, static_cast<uint8_t>(protocol), ends)) return false;
  const auto number = static_cast<uint8_t>(protocol);
  digest = ends.source.size() == 4 ? digest_of<4>(ends, number) : digest_of<16>(ends, number);
  return true;
}

}  // namespace weir::transform
