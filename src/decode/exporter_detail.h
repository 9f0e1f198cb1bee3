// exporter_detail.h — What one exporter said of itself, copied out for whoever asks: domains, rates, templates with
// their fields.
//
// Runs on:  rx_lcore, between two bursts.
// Shapes:   state_image.h: an exporter's record, then domains, each before its rates and templates; the same domain
//           may come again.
// Bounds:   kDetailRecords records a call, and one look at each rate or template of a domain.
//
// The walk is by number: by domain, and in a domain by the key of a rate, by the id of a template. So it keeps no place in any
// list, disturbs no other walk, and goes on behind what came and went meanwhile.
#pragma once

#include <compare>
#include <cstdint>

namespace weir::decode {

/// What is found by a look over all that a domain has; the next call looks again.
inline constexpr uint32_t kDetailRecords = 64;

struct DetailKey {
  uint64_t major = 0;
  uint64_t minor = 0;
  friend auto operator<=>(const DetailKey&, const DetailKey&) = default;
};

/// Where a walk stands. Default: at the beginning.
struct DetailCursor {
  enum class Stage : uint8_t { next_domain, rates, templates };
  Stage stage = Stage::next_domain;
  bool has_domain = false;  // one was begun: the one of these numbers
  uint16_t version = 0;
  uint32_t domain = 0;
  uint32_t session = 0;
  bool has_last = false;
  DetailKey last;          // the last one written of this stage
  bool is_known = false;   // the decoder has met the exporter
  bool is_over = false;
};

}  // namespace weir::decode
