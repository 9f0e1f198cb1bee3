// flow_maker.h — Flows with anything in any field, as rules see them.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "flow.pb.h"
#include "flow/flow_parser.h"
#include "rules/rule_set.h"

namespace weir::rules::testing {

/// A view and the octets that it looks at.
struct Viewed {
  explicit Viewed(const flowpb::FlowMessage& flow) : octets(flow.SerializeAsString()) {
    EXPECT_TRUE(parse_flow({reinterpret_cast<const uint8_t*>(octets.data()), octets.size()}, view));
  }
  Viewed(const Viewed&) = delete;
  Viewed& operator=(const Viewed&) = delete;
  const std::string octets;
  FlowView view;
};

/// Few different values, so that conditions meet them.
class FlowMaker {
 public:
  explicit FlowMaker(uint64_t seed) : random_(seed) {}
  uint64_t below(uint64_t n) { return random_() % n; }

  std::string address() {
    static const std::string kAddresses[] = {
        std::string("\x0a\0\0\1", 4),     std::string("\x0a\1\2\3", 4), std::string("\xc0\0\2\1", 4),
        std::string("\xc6\x33\x64\7", 4), std::string(),                std::string("odd"),
        std::string("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16),
        std::string("\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16)};
    return kAddresses[below(std::size(kAddresses))];
  }
  uint64_t number() {
    static constexpr uint64_t kNumbers[] = {0, 1, 6, 17, 53, 80, 99, 100, 443, 1023, 1024, 65535, 4200000000, 1ull << 40, UINT64_MAX};
    return kNumbers[below(std::size(kNumbers))];
  }
  uint32_t number32() { return static_cast<uint32_t>(number()); }
  std::string text() {
    static const std::string kTexts[] = {"", "ssh", "http", "HTTP", " web ", "12.50", "7", "1e3", "grüße", "null", "10.0.0.1",
                                         "00-00-00-00-00-50", "0000.0000.01BB"};
    return kTexts[below(std::size(kTexts))];
  }

  flowpb::FlowMessage flow() {
    flowpb::FlowMessage f;
    f.set_type(static_cast<flowpb::FlowType>(below(5)));
    f.set_src_addr(address());
    f.set_dst_addr(address());
    f.set_sampler_address(address());
    f.set_proto(number32());
    f.set_src_port(number32());
    f.set_dst_port(number32());
    f.set_bytes(number());
    f.set_packets(number());
    f.set_tcp_flags(number32() & 0xff);
    f.set_in_if(number32());
    f.set_src_as(number32());
    f.set_src_mac(number() & 0xffffffffffff);
    f.set_application_name(text());
    f.set_in_if_name(text());
    f.set_site(text());
    f.set_sequence_num(static_cast<uint32_t>(random_()));
    for (uint64_t i = below(4); i > 0; --i) f.add_as_path(number32());
    for (uint64_t i = below(3); i > 0; --i) f.add_labels(text());
    for (uint64_t i = below(3); i > 0; --i) f.add_srv6_segments(address());
    return f;
  }

 private:
  std::mt19937_64 random_;
};

inline const std::vector<Target>& targets() {
  static const std::vector<Target> kTargets = {{"app_name", TargetKind::text, {}},
                                               {"severity_id", TargetKind::integer, {0, 1, 2, 3, 4, 5, 6, 99}},
                                               {"count", TargetKind::integer, {}}};
  return kTargets;
}

inline std::unique_ptr<const RuleSet> rules_of(const std::string& text, const std::string& folder = "") {
  auto rules = RuleSet::parse(text, "rules.yaml", folder, targets());
  EXPECT_TRUE(rules) << rules.error().message << "\n" << text;
  return rules ? std::move(*rules) : nullptr;
}
inline std::string error_of(const std::string& text) {
  const auto rules = RuleSet::parse(text, "rules.yaml", "", targets());
  return rules ? "" : rules.error().message;
}

}  // namespace weir::rules::testing
