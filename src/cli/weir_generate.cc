// weir_generate.cc — `weir generate`: made-up exporters send NetFlow, IPFIX or sFlow, or write it down.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/decimal_range.h"
#include "lab/generator.h"

namespace weir::cli {
namespace {

struct GenerateOptions {
  std::string to;
  std::string pcap;
  std::string protocol = "v5";
  std::vector<std::string> with;
  uint64_t count = 0;
  uint32_t flows = 0;
  uint64_t rate = 1000;
  uint32_t exporters = 1;
  uint32_t sampling = 0;
  uint64_t seed = 1;
  double duration_s = 0;
  uint64_t start_s = 0;
  uint32_t template_refresh = 200;
  bool template_changes = false;
  bool by_tcp = false;
  bool json = false;
};

constexpr uint64_t kCountDefault = 1000;
// CLI11 reads -1 as the largest number, so that each number needs a bound below that.
constexpr uint64_t kCountMax = 1'000'000'000'000'000;
constexpr uint32_t kSamplingMax = 1'000'000'000;
constexpr uint32_t kSamplingOfSamplersMax = kSamplingMax >> (lab::kSamplers - 1);
constexpr uint64_t kStartMax = 4'294'967'295;  // what the headers can say

constexpr const char* kCaptureTarget = "198.51.100.1:2055";

std::atomic<bool> stop_asked{false};

void ask_to_stop(int) { stop_asked.store(true, std::memory_order_relaxed); }

lab::ExportProtocol protocol_of(const std::string& name) {
  if (name == "v9") return lab::ExportProtocol::netflow_v9;
  if (name == "ipfix") return lab::ExportProtocol::ipfix;
  if (name == "sflow") return lab::ExportProtocol::sflow;
  return lab::ExportProtocol::netflow_v5;
}

/// What --with takes, and which protocols can tell it.
struct Extra {
  const char* name;
  bool lab::Extras::*member;
  bool v9, ipfix, sflow;

  bool is_known_to(lab::ExportProtocol p) const {
    return p == lab::ExportProtocol::netflow_v9 ? v9
           : p == lab::ExportProtocol::ipfix    ? ipfix
                                                : p == lab::ExportProtocol::sflow && sflow;
  }
  const char* who() const {
    if (sflow) return v9 ? "v9, ipfix and sflow" : "sflow";
    return v9 ? "v9 and ipfix" : "ipfix";
  }
};
constexpr Extra kExtras[] = {
    {"bgp", &lab::Extras::bgp, true, true, true},
    {"nat", &lab::Extras::nat, true, true, false},
    {"interfaces", &lab::Extras::interfaces, true, true, false},
    {"samplers", &lab::Extras::samplers, true, true, false},
    {"variable", &lab::Extras::variable, false, true, false},
    {"expanded", &lab::Extras::expanded, false, false, true},
    {"counters", &lab::Extras::counters, false, false, true},
    {"tunnels", &lab::Extras::tunnels, false, false, true},
};
constexpr const char* kEverything = "all";

std::vector<std::string> extra_names() {
  std::vector<std::string> names = {kEverything};
  for (const Extra& e : kExtras) names.emplace_back(e.name);
  return names;
}

bool is_wanted(const GenerateOptions& o, const char* name) {
  return std::find(o.with.begin(), o.with.end(), name) != o.with.end();
}

lab::Extras extras_of(const GenerateOptions& o) {
  lab::Extras extras;
  for (const Extra& e : kExtras) {
    extras.*e.member = e.is_known_to(protocol_of(o.protocol)) && (is_wanted(o, kEverything) || is_wanted(o, e.name));
  }
  return extras;
}

/// Null: none of what is wanted is beyond the protocol.
const Extra* beyond(const GenerateOptions& o) {
  for (const Extra& e : kExtras) {
    if (is_wanted(o, e.name) && !e.is_known_to(protocol_of(o.protocol))) return &e;
  }
  return nullptr;
}

/// What CLI11 cannot say of one option alone.
std::string contradiction(const GenerateOptions& o) {
  if (o.to.empty() && o.pcap.empty()) {
    return "say where to: --to HOST:PORT sends, --pcap FILE writes a capture";
  }
  if (o.by_tcp && !o.pcap.empty()) return "--tcp sends, --pcap writes a capture: not both";
  if (o.by_tcp && o.protocol != "ipfix") return fmt::format("--tcp: {} has no sessions, but ipfix", o.protocol);
  if (o.template_changes && o.protocol != "v9" && o.protocol != "ipfix") return fmt::format("--template-changes: {} has no templates", o.protocol);
  // RFC 7011 §8.1: there they would have to be withdrawn first.
  if (o.template_changes && o.by_tcp) return "--template-changes: templates of a session stay as they are";
  if (o.protocol == "v5" && o.flows > lab::kNetflowV5RecordsMax) {
    return fmt::format("--flows {}: NetFlow v5 holds at most {} in a datagram", o.flows,
                       lab::kNetflowV5RecordsMax);
  }
  if (o.protocol == "v5" && o.sampling > 0x3fff) {
    return fmt::format("--sampling {}: NetFlow v5 can say at most 16383", o.sampling);
  }
  if (const Extra* const e = beyond(o)) {
    return fmt::format("--with {}: {} cannot say it, but {}", e->name, o.protocol, e->who());
  }
  if (extras_of(o).samplers && o.sampling > kSamplingOfSamplersMax) {
    return fmt::format("--sampling {}: with --with samplers at most {}", o.sampling, kSamplingOfSamplersMax);
  }
  if (!o.pcap.empty() && !o.to.empty()) {
    const auto target = SocketAddress::parse(o.to);
    if (!target || target->port == 0) {
      return fmt::format("--to {}: with --pcap this must be ADDRESS:PORT in numbers, the port from 1 to 65535",
                         o.to);
    }
  }
  if (o.json && o.pcap == "-") return "--json and --pcap - both want standard output";
  return "";
}

Result<std::unique_ptr<lab::Destination>> open_destination(const GenerateOptions& o,
                                                           uint32_t& exporters) {
  if (o.by_tcp) return lab::open_session_destination(o.to, exporters);
  if (o.pcap.empty()) return lab::open_udp_destination(o.to, exporters);
  const std::string target = o.to.empty() ? kCaptureTarget : o.to;
  return lab::open_capture_destination(o.pcap, *SocketAddress::parse(target));
}

void print_summary(const lab::GeneratorReport& r, uint32_t exporters, const char* verb) {
  const double seconds = static_cast<double>(r.elapsed_ns) / 1e9;
  fmt::print(
      stderr,
      "{} {} datagrams ({} of them templates), {} records, {} octets from {} {} in {:.3f} s\n",
      verb, r.datagrams, r.template_datagrams, r.records, r.octets, exporters,
      exporters == 1 ? "exporter" : "exporters", seconds);
  if (r.failed != 0) fmt::print(stderr, "failed: {} datagrams\n", r.failed);
  if (r.refused != 0) fmt::print(stderr, "refused: at least {} datagrams\n", r.refused);
  if (!r.first_error.empty()) fmt::print(stderr, "first error: {}\n", r.first_error);
}

void print_json(const lab::GeneratorReport& r, uint32_t exporters) {
  fmt::print(
      "{{\"datagrams\":{},\"template_datagrams\":{},\"records\":{},\"options_records\":{},"
      "\"counter_samples\":{},\"flow_octets\":{},\"flow_packets\":{},\"octets\":{},\"failed\":{},"
      "\"refused\":{},\"exporters\":{},\"elapsed_ns\":{}}}\n",
      r.datagrams, r.template_datagrams, r.records, r.options_records, r.counter_samples,
      r.flow_octets, r.flow_packets, r.octets, r.failed, r.refused, exporters, r.elapsed_ns);
}

int run_generate(const GenerateOptions& o) {
  if (const std::string wrong = contradiction(o); !wrong.empty()) {
    fmt::print(stderr, "weir generate: {}\n", wrong);
    return 2;
  }
  uint32_t exporters = o.exporters;
  Result<std::unique_ptr<lab::Destination>> destination = open_destination(o, exporters);
  if (!destination) {
    fmt::print(stderr, "weir generate: {}\n", destination.error().message);
    return 1;
  }
  if (exporters < o.exporters) {
    fmt::print(
        stderr,
        "weir generate: 1 exporter instead of {}: only towards 127.0.0.0/8 (and with --pcap) can "
        "each have an address of its own\n",
        o.exporters);
  }
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);

  lab::GeneratorConfig config;
  config.exporter.protocol = protocol_of(o.protocol);
  config.exporter.flows = o.flows;
  config.exporter.sampling = o.sampling;
  config.exporter.extras = extras_of(o);
  config.exporter.seed = o.seed;
  config.exporter.template_refresh_datagrams = o.template_refresh;
  config.exporter.templates_change = o.template_changes;
  // 20 octets more of IP header; a pcap's target tells its family as well.
  if (o.to.find('[') != std::string::npos) config.exporter.datagram_octets = 1452;
  config.exporters = exporters;
  config.duration_ns = static_cast<uint64_t>(o.duration_s * 1e9);
  config.count = o.count == 0 && config.duration_ns == 0 ? kCountDefault : o.count;
  config.rate = o.rate;
  config.start_ns = o.start_s != 0 ? o.start_s * kNsPerSec : wall_clock_ns();

  const lab::GeneratorReport report = lab::generate(config, **destination, stop_asked);
  print_summary(report, exporters, o.pcap.empty() ? "sent" : "wrote");
  if (o.json) print_json(report, exporters);
  return report.complete() && std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace

void add_generate_command(CLI::App& app, int& exit_code) {
  CLI::App* generate = app.add_subcommand(
      "generate", "Make export traffic of made-up exporters: send it by UDP or TCP, or write a capture");
  const auto o = std::make_shared<GenerateOptions>();
  generate->add_option("--to", o->to,
                       "Send to HOST:PORT by UDP, or with --tcp. With --pcap: what the frames are addressed to "
                       "(198.51.100.1:2055)");
  generate->add_option("--pcap", o->pcap,
                       "Write a pcap (Ethernet, nanoseconds) instead; - is standard output");
  generate->add_flag("--tcp", o->by_tcp,
                     "IPFIX: send by TCP, a session of each exporter, which also elsewhere than towards 127.0.0.0/8 may be several");
  generate->add_option("--protocol", o->protocol, "What the exporters speak: v5, v9, ipfix or sflow")
      ->check(CLI::IsMember({"v5", "v9", "ipfix", "sflow"}))
      ->capture_default_str();
  generate
      ->add_option(
          "--with", o->with,
          "What they tell beside plain flows, several with commas. bgp: next hop and adjacent AS "
          "(sflow: AS path); nat: events of translation; interfaces: options data with their names; "
          "samplers: four, 1 in N, 2N, 4N and 8N packets (N: --sampling, or 1000), named by records; "
          "variable: names of variable length; expanded, counters: such samples; tunnels: VXLAN and "
          "GRE in sampled headers; all: whatever the protocol can say")
      ->delimiter(',')
      ->check(CLI::IsMember(extra_names()));
  generate
      ->add_option(
          "--count", o->count,
          "Datagrams with flows; templates come in datagrams of their own (1000, or no bound "
          "with --duration)")
      ->check(CLI::Range(uint64_t{1}, kCountMax));
  generate
      ->add_option("--flows", o->flows,
                   "Flows in each datagram (as many as need no IP fragments; v5: at most 30)")
      ->check(CLI::Range(uint32_t{1}, lab::kFlowsPerDatagramMax));
  generate
      ->add_option("--rate", o->rate,
                   "Datagrams a second over all exporters; 0: as fast as it goes")
      ->check(CLI::Range(uint64_t{0}, kNsPerSec))
      ->capture_default_str();
  generate->add_option("--duration", o->duration_s, "Stop after this many seconds (0.001 to 1e9)")
      ->check(decimal_range(0.001, 1e9));
  generate
      ->add_option(
          "--exporters", o->exporters,
          "Exporters, each with an address, clock, templates and sequence of its own. Towards "
          "127.0.0.0/8 they send from 127.1.0.1 on, elsewhere there is only one")
      ->check(CLI::Range(uint32_t{1}, lab::kExportersMax))
      ->capture_default_str();
  generate
      ->add_option("--sampling", o->sampling,
                   "Say that 1 packet in this many was sampled; 0: not sampled (sflow: each one)")
      ->check(CLI::Range(uint32_t{0}, kSamplingMax))
      ->capture_default_str();
  generate
      ->add_option("--template-refresh", o->template_refresh,
                   "v9, IPFIX: datagrams of an exporter until its templates come again")
      ->check(CLI::Range(1u, 1'000'000u))
      ->capture_default_str();
  generate->add_flag("--template-changes", o->template_changes,
                     "v9, IPFIX: templates that come again have their fields in another order");
  generate->add_option("--seed", o->seed, "The same seed makes the same flows")
      ->capture_default_str();
  generate
      ->add_option(
          "--start", o->start_s,
          "Time of the first datagram, seconds since the epoch (now); with --seed and --pcap "
          "the whole file is the same again")
      ->check(CLI::Range(uint64_t{1}, kStartMax));
  generate->add_flag("--json", o->json, "Print what was sent as JSON on standard output as well");
  generate->footer(
      "Examples:\n"
      "  weir generate --to 127.0.0.1:2055 --protocol v5 --count 5 --flows 3\n"
      "      fifteen flows of NetFlow v5 to a collector on this machine\n"
      "  weir generate --to 127.0.0.1:2055 --protocol v9 --exporters 50 --rate 20000 --duration "
      "10\n"
      "      fifty routers for ten seconds\n"
      "  weir generate --pcap ipfix.pcap --protocol ipfix --sampling 1000 --start 1767225600\n"
      "      a capture that is the same each time\n"
      "  weir generate --pcap all.pcap --protocol ipfix --with all\n"
      "      names of variable length, NAT events, BGP, samplers and interfaces by options data\n"
      "All addresses of the flows are documentation and benchmark addresses. The summary is on "
      "standard\n"
      "error; the exit status is 1 if anything could not be sent or met a closed port.");
  generate->callback([o, &exit_code] { exit_code = run_generate(*o); });
}

}  // namespace weir::cli
