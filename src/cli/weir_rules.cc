// weir_rules.cc — `weir rules test`: what rules of classification say of a capture, without an appliance.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "classify/stages.h"
#include "cli/commands.h"
#include "cli/weirctl_table.h"
#include "control/config/config_rules.h"
#include "decode/decoder.h"
#include "lab/capture_file.h"
#include "lab/export_payload.h"
#include "lab/sflow_builder.h"
#include "packet/frame.h"

namespace weir::cli {
namespace {

using nlohmann::json;

constexpr const char* kInstalledRules[] = {"/usr/share/weir/rules", "/etc/weir/rules"};
constexpr size_t kLinuxSllOctets = 16;

struct RulesArguments {
  std::string file;
  std::vector<std::string> rules;
  size_t header_octets = 128;
  size_t flows = 10;
  bool json = false;
};

std::string text_of(const RecordBurst& burst, ArenaRef ref) {
  return {burst.arena + ref.offset, burst.arena + ref.offset + ref.count};
}

/// A list of texts as records have it, with blanks between.
std::string list_of(const RecordBurst& burst, ArenaRef ref) {
  std::string text;
  const uint8_t* p = burst.arena + ref.offset;
  for (const uint8_t* const end = p + ref.count; p < end;) {
    uint16_t length = 0;
    std::memcpy(&length, p, sizeof length);
    text += (text.empty() ? "" : " ") + std::string(p + 2, p + 2 + length);
    p += 2 + length;
  }
  return text;
}

/// Decodes, classifies, and keeps the first flows that some rule matched.
class Trial final : public RecordSink {
 public:
  Trial(std::unique_ptr<classify::Stage> made, size_t flows_max) : stage(std::move(made)), flows_max_(flows_max) {
    decode::DecoderConfig config;
    config.listeners.resize(1);
    decoder_ = std::move(*decode::Decoder::create(config));
  }

  void on_records(const RecordBurst& burst) noexcept override {
    const RoleScope role(rx_lcore);
    std::array<classify::Verdict, kBurstRecords> verdicts{};
    if (stage->look(burst, verdicts)) verdicts = {};
    for (size_t i = 0; i < burst.records.size(); ++i) {
      const FlowRecord& r = burst.records[i];
      dropped += verdicts[i].fate != classify::Fate::kept;
      const std::string application = text_of(burst, r.application_name);
      if (!application.empty()) ++applications[application];
      const bool is_told = r.rule_ids.count != 0 || verdicts[i] != classify::Verdict{};
      if (!is_told || flows.size() == flows_max_) continue;
      flows.push_back({{"src_addr", r.src_addr.to_string()},
                       {"src_port", r.src_port},
                       {"dst_addr", r.dst_addr.to_string()},
                       {"dst_port", r.dst_port},
                       {"proto", r.proto},
                       {"application", application},
                       {"server_name", text_of(burst, r.server_name)},
                       {"labels", list_of(burst, r.labels)},
                       {"rules", list_of(burst, r.rule_ids)},
                       {"fate", verdicts[i].fate == classify::Fate::kept ? "kept"
                                : verdicts[i].fate == classify::Fate::dropped ? "dropped" : "sampled_away"}});
    }
  }

  void take(const IpAddress& from, std::span<const uint8_t> payload, uint64_t at_ns) {
    ++datagrams;
    decoder_->decode({.payload = payload, .source = from, .source_port = 1, .received_ns = at_ns}, *this);
  }

  std::unique_ptr<classify::Stage> stage;
  std::map<std::string, uint64_t> applications;
  std::vector<json> flows;
  uint64_t datagrams = 0;
  uint64_t dropped = 0;

 private:
  const size_t flows_max_;
  std::unique_ptr<decode::Decoder> decoder_;
};

/// As an agent samples the frame: the first octets, in a datagram of its own.
void sample(Trial& trial, const lab::CapturedFrame& frame, size_t header_octets) {
  std::span<const uint8_t> octets = frame.octets;
  uint32_t link = lab::sflow::kHeaderEthernet;
  if (frame.link != packet::LinkType::ethernet) {
    const size_t skipped = frame.link == packet::LinkType::linux_sll ? kLinuxSllOctets : 0;
    if (octets.size() <= skipped || (skipped == 0 && frame.link != packet::LinkType::raw_ip)) return;
    octets = octets.subspan(skipped);
    link = octets[0] >> 4 == 6 ? lab::sflow::kHeaderIpv6 : lab::sflow::kHeaderIpv4;
  }
  const auto head = octets.first(std::min(octets.size(), header_octets));
  const lab::Octets datagram =
      lab::SflowBuilder{}
          .flow({.sampling_rate = 1,
                 .records = {lab::sflow::raw_header({head.begin(), head.end()}, static_cast<uint32_t>(octets.size()), link)}})
          .build();
  trial.take(IpAddress::from_v4(0x7F000001), datagram, frame.timestamp_ns);
}

bool is_export(const packet::FrameView& view) {
  return view.verdict == packet::FrameVerdict::udp && lab::is_export_port(view.dst_port) && lab::looks_like_export(view.payload);
}

/// Whether the capture has export datagrams: then these are looked into, and else each packet is.
Result<bool> holds_exports(const std::string& file) {
  auto reader = lab::CaptureReader::open(file);
  if (!reader) return reader.error();
  lab::CapturedFrame frame;
  for (;;) {
    const auto more = reader->next(frame);
    if (!more) return more.error();
    if (!*more) return false;
    if (is_export(packet::parse_frame(frame.octets, frame.link))) return true;
  }
}

Result<void> read(const std::string& file, bool exports, size_t header_octets, Trial& trial) {
  auto reader = lab::CaptureReader::open(file);
  if (!reader) return reader.error();
  lab::CapturedFrame frame;
  for (;;) {
    const auto more = reader->next(frame);
    if (!more) return more.error();
    if (!*more) return {};
    if (!exports) {
      sample(trial, frame, header_octets);
    } else if (const auto view = packet::parse_frame(frame.octets, frame.link); is_export(view)) {
      trial.take(view.src, view.payload, frame.timestamp_ns);
    }
  }
}

void print(const Trial& trial, bool exports) {
  const auto& rules = trial.stage->rules().rules();
  const auto& counters = trial.stage->counters();
  fmt::print("{} {}, {} records, {} matched by some rule, {} dropped or sampled away\n", trial.datagrams,
             exports ? "export datagrams" : "packets, each as a sample", counters.records.value(), counters.matched.value(), trial.dropped);
  Table hits({"rule", "hits", "drops", "errors"});
  for (size_t i = 0; i < rules.size(); ++i) {
    const auto& c = trial.stage->counters(i);
    if (c.hits.value() + c.errors.value() == 0) continue;
    hits.add({rules[i].id, std::to_string(c.hits.value()), std::to_string(c.drops.value()), std::to_string(c.errors.value())});
  }
  hits.print();
  if (trial.flows.empty()) return;
  Table flows({"from", "to", "application", "name", "labels", "rules"}, 6);
  for (const json& f : trial.flows) {
    const auto end = [&f](const char* address, const char* port) {
      return fmt::format("{}:{}", f.at(address).get<std::string>(), f.at(port).get<uint32_t>());
    };
    flows.add({end("src_addr", "src_port"), end("dst_addr", "dst_port"), f.at("application"), f.at("server_name"), f.at("labels"), f.at("rules")});
  }
  std::puts("");
  flows.print();
}

void print_json(const Trial& trial) {
  const auto& rules = trial.stage->rules().rules();
  json rows = json::array();
  for (size_t i = 0; i < rules.size(); ++i) {
    const auto& c = trial.stage->counters(i);
    rows.push_back({{"id", rules[i].id}, {"hits", c.hits.value()}, {"drops", c.drops.value()}, {"errors", c.errors.value()}});
  }
  const auto& all = trial.stage->counters();
  const json body = {{"datagrams", trial.datagrams}, {"records", all.records.value()}, {"records_matched", all.matched.value()},
                     {"names_extracted", all.names.value()}, {"dropped", trial.dropped}, {"applications", trial.applications},
                     {"rules", rows}, {"flows", trial.flows}};
  std::puts(body.dump(2, ' ', false, json::error_handler_t::replace).c_str());
}

Result<void> run(RulesArguments arguments) {
  if (arguments.rules.empty()) {
    for (const char* const folder : kInstalledRules)
      if (std::filesystem::exists(folder)) arguments.rules.emplace_back(folder);
    if (arguments.rules.empty()) return Error{"there are no rules in /usr/share/weir/rules or /etc/weir/rules: say --rules"};
  }
  auto rules = classify::RuleSet::read(arguments.rules, {.find_element = control::find_classified_element, .cache = {}});
  if (!rules) return rules.error();
  auto stage = classify::Stage::make(*rules);
  if (!stage) return stage.error();
  const auto exports = holds_exports(arguments.file);
  if (!exports) return exports.error();
  Trial trial(std::move(*stage), arguments.flows);
  if (auto read_it = read(arguments.file, *exports, arguments.header_octets, trial); !read_it) return read_it;
  arguments.json ? print_json(trial) : print(trial, *exports);
  return {};
}

}  // namespace

void add_rules_command(CLI::App& app, int& exit_code) {
  static RulesArguments arguments;
  CLI::App* rules = app.add_subcommand("rules", "Rules of classification: try them on a capture");
  rules->require_subcommand(1);
  CLI::App* test = rules->add_subcommand("test", "What rules say of a capture: of its flow exports, or else of each of its packets as a sample");
  test->add_option("file", arguments.file, "A pcap or pcapng")->required();
  test->add_option("-r,--rules", arguments.rules, "Files or folders of rules (those in /usr/share/weir/rules and /etc/weir/rules)");
  test->add_option("--header", arguments.header_octets, "Octets that are sampled of each packet")
      ->check(CLI::Range(size_t{14}, size_t{65'535}))
      ->capture_default_str();
  test->add_option("--flows", arguments.flows, "Flows that are shown, of those that some rule matched")->capture_default_str();
  test->add_flag("--json", arguments.json, "For scripts");
  test->callback([&exit_code] {
    const auto done = run(arguments);
    exit_code = done ? 0 : 1;
    if (!done) fmt::print(stderr, "weir: {}\n", done.error().message);
  });
}

}  // namespace weir::cli
