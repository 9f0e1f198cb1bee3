// decoder_rules.h — What an operator says of listeners and exporters, and may say anew while datagrams come.
//
// Runs on:  made on any thread; constant once a decoder has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "decode/exporter_labels.h"

namespace weir::decode {

/// ListenerIds are below it.
inline constexpr size_t kListenersMax = 256;

/// What a listener admits; told apart by content unless it is fixed to one.
enum class ProtocolFilter : uint8_t { any, netflow, ipfix, sflow };

/// What an exporter may hold, as far as its listeners may differ in it.
struct ExporterLimits {
  uint32_t templates_max = 2000;
  uint32_t template_fields_max = 10'000;
  uint64_t template_lifetime_ns = 0;                 // 0: until evicted
  uint32_t pending_sets_max = 256;                   // pending_flows.max_pending_flows
  uint32_t pending_sets_per_template = 1024;         // pending_flows.max_entries_per_template
  uint32_t pending_set_octets_max = 65'535;          // pending_flows.max_entry_size_bytes
  uint64_t pending_ttl_ns = 300ull * 1'000'000'000;  // pending_flows.ttl_secs
};

/// Samples of an sFlow datagram that are read; the rest is skipped and counted. Real agents send 7 to
/// 15; more than the limit have no room in a datagram.
inline constexpr uint32_t kSflowSamplesDefault = 512;
inline constexpr uint32_t kSflowSamplesLimit = 8192;

struct ListenerRules {
  ProtocolFilter protocol = ProtocolFilter::any;
  uint64_t sampling_rate_default = 0;  // used where nothing else names a rate; 0: unknown
  bool inline_names = false;           // records carry names that labels or options data gave
  /// For exporters as long as they send to this listener, within what DecoderLimits has; absent: that.
  std::optional<ExporterLimits> limits;
  uint32_t samples_per_datagram_max = kSflowSamplesDefault;
};

/// The exporters under a prefix.
struct ExporterPrefix {
  IpAddress address;
  uint8_t bits = 0;  // of 128: IPv4 prefixes are 96 longer

  bool covers(const IpAddress& exporter) const noexcept;
};

/// What the operator says of the exporters under a prefix; the longest prefix wins.
struct SamplingRule {
  IpAddress prefix;
  uint8_t prefix_bits = 0;  // of 128: IPv4 prefixes are 96 longer
  uint64_t rate = 0;

  bool covers(const IpAddress& exporter) const noexcept {
    return ExporterPrefix{prefix, prefix_bits}.covers(exporter);
  }
};

/// Where the exporters under a prefix are, if nothing is said of one itself; the longest prefix wins.
struct SiteRule {
  ExporterPrefix exporters;
  std::string site;
};
/// Empty: none covers it.
std::string_view site_of(const std::vector<SiteRule>& rules, const IpAddress& exporter) noexcept;

/// Whose datagrams are taken: the longest prefix decides, of two that are the same the one that denies, and where none
/// covers an exporter, whether there are any that let in.
///
/// PERF: it is asked for every datagram and every fragment, a flood's of strangers too, so what prefixes say is laid out as
/// ranges of addresses, of which one is found by halves: 18 steps for a hundred thousand prefixes.
class AccessList {
 public:
  AccessList() = default;
  AccessList(const std::vector<ExporterPrefix>& allow, const std::vector<ExporterPrefix>& deny);

  /// There are no prefixes.
  bool is_open() const noexcept { return ranges_.empty(); }
  bool admits(const IpAddress& exporter) const noexcept;

 private:
  /// The addresses from `first` up to the next range's.
  struct Range {
    IpAddress first;
    bool admits;
  };
  void begin(const IpAddress& first, bool admits);

  std::vector<Range> ranges_;  // ascending; the first begins with the first address there is
};

struct DecoderRules {
  std::vector<ListenerRules> listeners;         // by ListenerId
  std::vector<SamplingRule> sampling_override;  // before anything that the exporter says
  std::vector<SamplingRule> sampling_default;   // before the listener's default
  AccessList access;
  std::vector<SiteRule> sites;                  // where labels say none
  std::shared_ptr<const ExporterLabels> labels;  // null: none
  uint32_t exporters_max = 0;  // of a core, within DecoderLimits::exporters_room; 0: as many as it was made for
};

}  // namespace weir::decode
