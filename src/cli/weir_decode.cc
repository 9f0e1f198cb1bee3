// weir_decode.cc — `weir decode`: captures in, flow records out; no DPDK, no root, no clock.
//
// The same walk as in the appliance: frame, decoder, encoder; then protobuf reads the octets back,
// so that what is printed is what a consumer would get.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/decode_output.h"
#include "decode/decoder.h"
#include "lab/capture_file.h"
#include "lab/export_payload.h"
#include "packet/frame.h"
#include "packet/reassembly.h"

namespace weir::cli {
namespace {

struct DecodeOptions {
  std::vector<std::string> files;
  std::string format = "json";
  std::string rules_file;  // empty: none
  std::vector<uint16_t> ports;
  bool raw = false;
  bool verify_checksums = false;
};

/// What was in the files beside what the decoder counts by itself.
struct FileCounters {
  uint64_t captures = 0;
  uint64_t packets = 0;
  uint64_t cut_packets = 0;  // the capture holds less of them than was on the wire
  CounterArray<packet::FrameVerdict> verdicts;
  uint64_t other_datagrams = 0;  // UDP, but no exports (or not of the ports asked for)
};

class CaptureDecoder {
 public:
  CaptureDecoder(const DecodeOptions& options, decode::Decoder& decoder, DecodeOutput& output,
                 const rules::RuleSet* rules)
      : options_(options),
        decoder_(decoder),
        output_(output),
        sink_(decode_format_of(options.format), output, rules) {}

  Result<void> decode_file(const std::string& path) {
    if (options_.raw || lab::is_payload_file(path)) return decode_payloads(path);
    const Result<void> decoded = decode_capture(path);
    reassembler_.give_up_all();  // no datagram is in two files, also where one is damaged
    return decoded;
  }
  const FileCounters& counters() const { return counters_; }
  const packet::ReassemblyCounters& reassembly() const { return reassembler_.counters(); }
  const PrintingSink& sink() const { return sink_; }

 private:
  Result<void> decode_capture(const std::string& path) {
    Result<lab::CaptureReader> reader = lab::CaptureReader::open(path);
    if (!reader) return reader.error();
    ++counters_.captures;
    const auto check = options_.verify_checksums ? packet::ChecksumPolicy::Check::verify
                                                 : packet::ChecksumPolicy::Check::skip;
    const bool live = path == "-";  // somebody may watch: nothing waits for a full buffer
    lab::CapturedFrame frame;
    while (!output_.is_closed()) {
      const Result<bool> more = reader->next(frame);
      if (!more) return more.error();
      if (!*more) break;
      ++counters_.packets;
      counters_.cut_packets += frame.is_cut;
      packet::FrameView view = packet::parse_frame(frame.octets, frame.link, {check, check});
      counters_.verdicts[view.verdict].increment();
      if (view.verdict == packet::FrameVerdict::fragment && !reassembler_.add(view, frame.timestamp_ns)) continue;
      if (view.verdict != packet::FrameVerdict::udp) continue;
      if (!is_wanted(view)) {
        ++counters_.other_datagrams;
        continue;
      }
      Datagram datagram;
      datagram.payload = view.payload;
      datagram.source = view.src;
      datagram.source_port = view.src_port;
      datagram.local_port = view.dst_port;
      datagram.received_ns = frame.timestamp_ns;
      decoder_.decode(datagram, sink_);
      if (live) output_.flush_if_any();
    }
    return {};
  }

  Result<void> decode_payloads(const std::string& path) {
    Result<lab::PayloadReader> reader = lab::PayloadReader::open(path);
    if (!reader) return reader.error();
    while (!output_.is_closed()) {
      const Result<std::span<const uint8_t>> payload = reader->next();
      if (!payload) return payload.error();
      if (payload->empty()) break;
      Datagram datagram;
      datagram.payload = *payload;
      datagram.source = IpAddress::from_v4(0u);
      datagram.received_ns = lab::export_seconds(*payload) * kNsPerSec;
      decoder_.decode(datagram, sink_);
    }
    return {};
  }

  bool is_wanted(const packet::FrameView& view) const {
    if (!options_.ports.empty()) {
      return std::find(options_.ports.begin(), options_.ports.end(), view.dst_port) !=
             options_.ports.end();
    }
    return lab::is_export_port(view.dst_port) || lab::looks_like_export(view.payload);
  }

  const DecodeOptions& options_;
  decode::Decoder& decoder_;
  DecodeOutput& output_;
  PrintingSink sink_;
  FileCounters counters_;
  packet::Reassembler reassembler_{{}, 0};
};

/// `udp 98, not_ip 2`: the counters that are not zero.
template <class Enum>
std::string not_zero(const CounterArray<Enum>& counters) {
  std::string text;
  for (size_t i = 0; i < CounterArray<Enum>::kSize; ++i) {
    const auto e = static_cast<Enum>(i);
    const uint64_t n = counters[e].value();
    if (n != 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(e), n);
  }
  return text;
}

void print_row(const char* what, uint64_t total, const std::string& details) {
  fmt::print(stderr, "{:<10} {:>10}{}{}\n", what, total, details.empty() ? "" : "  ", details);
}

/// One row a ledger; a row's parts add up to its total.
void print_summary(const FileCounters& files, const packet::ReassemblyCounters& reassembly,
                   const decode::DecoderCounters& c) {
  if (files.captures != 0) {
    print_row("packets", files.packets, not_zero(files.verdicts));
    if (reassembly.fragments.total() != 0) {
      print_row("fragments", reassembly.fragments.total(), not_zero(reassembly.fragments));
      print_row("", reassembly.datagrams.total(),
                fmt::format("datagrams made of them: {}", not_zero(reassembly.datagrams)));
    }
    if (files.cut_packets != 0)
      print_row("", files.cut_packets, "of these cut short by the capture (snaplen), and not decoded");
    if (files.other_datagrams != 0)
      print_row("", files.other_datagrams, "UDP datagrams are no exports");
  }
  std::string rejected = not_zero(c.datagram_errors);
  if (!rejected.empty()) rejected = "; rejected: " + rejected;
  print_row("datagrams", c.datagrams.value(), not_zero(c.datagrams_by_protocol) + rejected);
  if (c.sets.value() != 0) print_row("sets", c.sets.value(), not_zero(c.set_outcomes));
  print_row("records", c.records.value(), not_zero(c.records_by_protocol));
  if (c.counter_records.value() + c.discard_records.value() != 0) {
    print_row("sflow", c.counter_records.value() + c.discard_records.value(),
              fmt::format("counter_records {}, discard_records {}", c.counter_records.value(),
                          c.discard_records.value()));
  }
  if (c.options_records.value() != 0) print_row("options", c.options_records.value(), "records");
  if (const std::string t = not_zero(c.template_events); !t.empty()) {
    print_row("templates", c.templates.value(), t);
  }
  if (const std::string q = not_zero(c.quirks); !q.empty())
    print_row("quirks", c.quirks.total(), q);
  if (c.sequence_lost.value() != 0) {
    print_row("lost", c.sequence_lost.value(), "missing by the exporters' sequence numbers");
  }
  if (c.samples_lost.value() != 0) {
    print_row("lost", c.samples_lost.value(), "samples missing by sFlow data sources' numbers");
  }
  if (c.samples_dropped.value() != 0) {
    print_row("dropped", c.samples_dropped.value(), "samples that sFlow agents had to drop");
  }
}

/// What rules did; those that did nothing are not told.
void print_rules(const rules::RuleSet& rules, const PrintingSink& sink) {
  print_row("dropped", sink.dropped() + sink.sampled_out(),
            fmt::format("by rules: {} dropped, {} sampled out", sink.dropped(), sink.sampled_out()));
  if (sink.undecided() != 0) {
    print_row("without", sink.undecided(), fmt::format("result: an expression of {} has no value", rules.decision()->program.name));
  }
  for (size_t i = 0; i < rules.rules().size(); ++i) {
    const rules::RuleCounts& counts = sink.rule_counts()[i];
    if (counts.hits + counts.errors == 0) continue;
    print_row("rule", counts.hits,
              fmt::format("{}{}", rules.rules()[i].id,
                          counts.errors != 0 ? fmt::format(": {} flows without a value", counts.errors) : ""));
  }
}

decode::DecoderConfig decoder_config() {
  decode::DecoderConfig config;
  config.listeners.emplace_back();
  // A capture's own stamps are often wrong or anonymised: believe the exporter.
  config.limits.time_future_max_ns = uint64_t{50} * 366 * 86'400 * kNsPerSec;
  return config;
}

int run_decode(const DecodeOptions& o) {
  Result<std::unique_ptr<decode::Decoder>> decoder = decode::Decoder::create(decoder_config());
  if (!decoder) {
    fmt::print(stderr, "weir decode: {}\n", decoder.error().message);
    return 1;
  }
  std::unique_ptr<const rules::RuleSet> rules;
  if (!o.rules_file.empty()) {
    auto read = rules::RuleSet::read(o.rules_file, transform::event_targets());
    if (!read) {
      fmt::print(stderr, "weir decode: {}\n", read.error().message);
      return 1;
    }
    rules = std::move(*read);
  }
  DecodeOutput output;
  CaptureDecoder captures(o, **decoder, output, rules.get());
  bool failed = false;
  for (const std::string& file : o.files) {
    if (output.is_closed()) break;
    const Result<void> decoded = captures.decode_file(file);
    if (decoded) continue;
    failed = true;
    output.flush();  // records before the message about what is behind them
    const bool perhaps_raw =
        decoded.error().message.find("unknown file format") != std::string::npos;
    fmt::print(stderr, "weir decode: {}{}\n", decoded.error().message,
               perhaps_raw ? " (UDP payloads back to back are read with --raw)" : "");
  }
  output.flush();
  if (output.reader_left()) return failed ? 1 : 0;
  if (output.is_closed()) {
    fmt::print(stderr, "weir decode: standard output: {}\n", std::strerror(output.error()));
    return 1;
  }
  print_summary(captures.counters(), captures.reassembly(), (*decoder)->counters());
  if (rules != nullptr) print_rules(*rules, captures.sink());
  if (captures.sink().unreadable() != 0) {
    fmt::print(stderr, "weir decode: {} records were encoded wrongly; please report this capture\n",
               captures.sink().unreadable());
    failed = true;
  }
  return failed ? 1 : 0;
}

}  // namespace

void add_decode_command(CLI::App& app, int& exit_code) {
  CLI::App* decode = app.add_subcommand(
      "decode",
      "Decode the NetFlow, IPFIX and sFlow in captures: records on standard output, a summary on "
      "standard error");
  const auto o = std::make_shared<DecodeOptions>();
  decode
      ->add_option("files", o->files,
                   "pcap, pcapng or IPFIX files (RFC 5655), in order; - is standard input")
      ->required();
  decode
      ->add_option("--format", o->format,
                   "json: one object a line; table: for people; ocsf: one network_activity event of\n"
                   "OCSF 1.7.0 a line; protobuf: one flowpb.FlowBatch")
      ->check(CLI::IsMember({"json", "table", "ocsf", "protobuf"}))
      ->capture_default_str();
  decode->add_option("--rules", o->rules_file, "With --format ocsf: rules that events go by (docs/RULES.md)");
  decode
      ->add_option(
          "--port", o->ports,
          "Only datagrams to this UDP port, whatever is in them; may be repeated. Without it: "
          "the usual ports, and on others what looks like an export")
      ->check(CLI::Range(1, 65535));
  decode->add_flag(
      "--raw", o->raw,
      "The files hold export messages back to back, without packets around them; told by\n"
      "itself where the first one leaves no doubt");
  decode->add_flag(
      "--verify-checksums", o->verify_checksums,
      "Leave out packets with wrong IPv4 or UDP checksums. Captures made on a sender often "
      "have such, because its NIC was to fill them in");
  decode->footer(
      "Examples:\n"
      "  weir decode --format table capture.pcap\n"
      "      who talked to whom\n"
      "  weir decode a.pcap b.pcapng | jq 'select(.dst_port == 53)'\n"
      "      records of two captures; templates of the first serve the second\n"
      "  weir decode --format ocsf capture.pcap | jq .traffic.bytes\n"
      "      security events of the flows\n"
      "  tcpdump -U -i eth0 -w - udp port 2055 | weir decode -\n"
      "      what comes in just now\n"
      "  weir decode --format protobuf c.pcap | protoc --decode=flowpb.FlowBatch proto/flow.proto\n"
      "      the octets that a consumer gets\n"
      "Data ahead of its template is decoded when the template comes. In the summary the parts of "
      "a row\n"
      "add up to its total. The exit status is 1 if a file could not be read to its end; what "
      "came\n"
      "before the damage has been decoded.");
  decode->callback([o, &exit_code] {
    if (!o->rules_file.empty() && o->format != "ocsf") {
      throw CLI::ValidationError("--rules", "goes with --format ocsf");
    }
    exit_code = run_decode(*o);
  });
}

}  // namespace weir::cli
