// bench_transform.cc — From the octets of a FlowBatch through fifty rules to events of OCSF: one core.
//
//     build/perf/bench_transform                the figures of docs/PERFORMANCE.md
//     build/perf/bench_transform --smoke        one pass of each, all checked; part of the tests
//     build/perf/bench_transform --write DIR    the same rules and databases as files: DIR/rules.yaml, country.mmdb, asn.mmdb
//
// items_per_second counts flows. The yardstick in the same run is what a plain consumer does: protobuf's own classes, and
// a line of JSON without a mapping. Messages and events go around buffers larger than L2.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "allocation_counter.h"
#include "corpus.h"
#include "decode/decoder.h"
#include "export/batch_reader.h"
#include "export/encoder.h"
#include "flow/flow_parser.h"
#include "export/json_lines.h"
#include "rules/rule_set.h"
#include "support/mmdb_writer.h"
#include "transform/decision_writer.h"
#include "transform/ocsf_event.h"

namespace weir::perf {
namespace {

/// What the appliance publishes of a corpus, all of it in one batch.
class Flows final : public RecordSink {
 public:
  explicit Flows(Protocol protocol) {
    const Corpus corpus = make_corpus(protocol);
    decode::DecoderConfig config;
    config.partition = "default";
    config.listeners.resize(1);
    config.hash_seed = 42;
    auto decoder = decode::Decoder::create(config);
    if (!decoder) std::abort();
    for (const Corpus::Packet& p : corpus.templates) (*decoder)->decode(corpus.datagram(p), *this);
    for (const Corpus::Packet& p : corpus.packets) (*decoder)->decode(corpus.datagram(p), *this);
  }
  void on_records(const RecordBurst& burst) noexcept override {
    const outbound::HeaderPrefix prefix(burst.header);
    const size_t before = octets.size();
    size_t most = outbound::kStoreSlackOctets;
    for (const FlowRecord& r : burst.records) most += outbound::Encoder::octets_max(prefix, r);
    octets.resize(before + most);
    octets.resize(before + encoder_.encode(prefix, burst.records, burst.arena, octets.data() + before));
    records += burst.records.size();
  }
  std::vector<uint8_t> octets;
  uint64_t records = 0;

 private:
  outbound::Encoder encoder_;
};

/// Where events go: one behind the other, around and around.
class EventRing {
 public:
  std::span<char> next() { return {octets_.data() + at_, transform::kEventOctetsMax}; }
  void keep(size_t octets) {
    total += octets;
    at_ = at_ + octets < kOctets ? at_ + octets : 0;
  }
  uint64_t total = 0;

 private:
  static constexpr size_t kOctets = 8 << 20;
  std::vector<char> octets_ = std::vector<char>(kOctets + transform::kEventOctetsMax);
  size_t at_ = 0;
};

uint64_t parse_all(const Flows& flows) {
  uint64_t sum = 0;
  FlowView view;
  outbound::BatchWalk walk(flows.octets);
  for (outbound::BatchEntry entry; walk.next(entry);) {
    if (!parse_flow(entry.message, view)) std::abort();
    sum += view[NumberSlot::bytes];
  }
  return sum;
}

/// Fifty rules as operators have them: most are about ports and prefixes, some compute, a few match any one flow.
std::string fifty_rules_text() {
  std::string text =
      "version: 1\n"
      "sets:\n"
      "  local: [10.0.0.0/8, 172.16.0.0/12, 192.0.2.0/25, '2001:db8::/33']\n"
      "  web: [80, 443, 8080, 8443]\n"
      "  quiet: [198.51.100.0/28, 203.0.113.64/26]\n"
      "local_prefixes: '@local'\n"
      "derive:\n"
      "  large: bytes > 1000000\n"
      "rules:\n"
      "  - {id: keepalives, when: proto == 17 and dst_port == 4789 and bytes < 60, then: {drop: true}}\n"
      "  - {id: web, when: \"proto == 6 and dst_port in @web\", then: {set: {app_name: \"'web'\"}, labels: [web]}}\n"
      "  - {id: heavy, when: \"large and not cidr(dst_addr, @quiet)\", then: {set: {severity_id: 2}, labels: [heavy]}}\n"
      "  - {id: size, when: packets > 0, then: {set: {unmapped.packet_octets: floor(bytes / packets)}}}\n";
  for (int i = 0; i < 46; ++i) {
    const std::string n = std::to_string(i);
    const char* const conditions[] = {
        "proto == 6 and dst_port == 1", "proto == 17 and src_port in [5000..50", "cidr(src_addr, '198.51.100.",
        "src_as == 6450", "tcp_flags == 2 and bytes < 10"};
    std::string condition = conditions[i % 5] + n;
    if (i % 5 == 1) condition += "]";
    if (i % 5 == 2) condition += "/32')";
    text += "  - {id: r" + n + ", when: \"" + condition + "\", then: {labels: [r" + n + "]}}\n";
  }
  return text;
}

std::unique_ptr<const rules::RuleSet> fifty_rules() {
  auto rules = rules::RuleSet::parse(fifty_rules_text(), "fifty", "", transform::event_targets());
  if (!rules) {
    std::fprintf(stderr, "%s\n", rules.error().message.c_str());
    std::exit(1);
  }
  return std::move(*rules);
}

uint64_t run_rules(const Flows& flows, const rules::RuleSet& rules, rules::Scratch& scratch, rules::Outcome& outcome,
                   std::span<rules::RuleCounts> counts) {
  uint64_t labels = 0;
  FlowView view;
  outbound::BatchWalk walk(flows.octets);
  for (outbound::BatchEntry entry; walk.next(entry);) {
    if (!parse_flow(entry.message, view)) std::abort();
    rules.program().run(view, scratch, outcome, counts);
    labels += outcome.labels;
  }
  return labels;
}

constexpr int kPrefixes = 500'000;

/// A country and an ASN database, as many prefixes each, which know every address.
std::vector<enrich::DataSet> two_data_sets(int prefixes) {
  std::vector<enrich::DataSet> sets(2);
  uint64_t x = 88172645463325252;
  const auto next = [&x] { return x ^= x << 13, x ^= x >> 7, x ^= x << 17; };
  for (const bool is_country : {true, false}) {
    enrich::DataSet& set = sets[is_country ? 0 : 1];
    set.type = is_country ? "Country" : "ASN";
    set.entries.emplace_back();
    for (uint32_t i = 1; i <= (is_country ? 240u : 60'000u); ++i) {
      enrich::Entry entry;
      if (is_country) entry.country = {static_cast<char>('A' + i % 26), static_cast<char>('A' + i / 26 % 26)};
      else entry.as_number = i, entry.as_name = "Network " + std::to_string(i);
      set.entries.push_back(entry);
    }
    const auto value = [&] { return static_cast<uint32_t>(1 + next() % (set.entries.size() - 1)); };
    set.prefixes.push_back({IpAddress{}, 0, value()});
    set.prefixes.push_back({IpAddress::from_v4(0u), 96, value()});
    for (int i = 0; i < prefixes; ++i) {
      IpAddress address = IpAddress::from_v4(static_cast<uint32_t>(next()));
      uint8_t length = static_cast<uint8_t>(96 + 12 + next() % 13);
      if (i % 5 == 4) {
        store_be64(address.octets.data(), uint64_t{1} << 61 | next() >> 3);
        length = static_cast<uint8_t>(20 + next() % 29);
      }
      set.prefixes.push_back({address, length, value()});
    }
  }
  return sets;
}

std::shared_ptr<const enrich::Enrichment> two_databases(int prefixes = kPrefixes) {
  auto made = enrich::Enrichment::make(two_data_sets(prefixes));
  if (!made) std::abort();
  return std::move(*made);
}

/// What weir-etl does with a batch. Whoever counts its instructions knows it by its name.
__attribute__((noinline)) void transform_all(const Flows& flows, const rules::RuleSet& rules, rules::Scratch& scratch, rules::Outcome& outcome,
                   std::span<rules::RuleCounts> counts, const transform::OcsfWriter& writer, EventRing& ring,
                   const enrich::Enrichment* known = nullptr) {
  FlowView view;
  outbound::BatchWalk walk(flows.octets);
  transform::EventContext context{.processed_ms = kReceivedNs / 1'000'000};
  context.decisions.outcome = &outcome;
  context.decisions.program = &rules.program();
  context.decisions.local = rules.local_prefixes();
  for (outbound::BatchEntry entry; walk.next(entry);) {
    if (!parse_flow(entry.message, view)) std::abort();
    transform::Decisions::prefetch(view, known);
    rules.program().run(view, scratch, outcome, counts);
    if (outcome.is_dropped) continue;
    context.decisions.look_up(view, known);
    const size_t octets = writer.write(view, context, ring.next());
    if (octets == 0) std::abort();
    ring.keep(octets);
  }
}

void write_all(const Flows& flows, const transform::OcsfWriter& writer, EventRing& ring) {
  FlowView view;
  outbound::BatchWalk walk(flows.octets);
  for (outbound::BatchEntry entry; walk.next(entry);) {
    if (!parse_flow(entry.message, view)) std::abort();
    const size_t octets = writer.write(view, {.processed_ms = kReceivedNs / 1'000'000}, ring.next());
    if (octets == 0) std::abort();
    ring.keep(octets);
  }
}

/// A decision file as installations have them for flows: one node, whose result says most fields of a flow.
rules::DecisionProgram event_decision() {
  std::string unmapped = "{";
  for (const char* const field : {"flow_type", "sampling_rate", "ip_tos", "vlan_id", "observation_domain_id", "sequence_num", "src_vlan", "dst_vlan", "src_mac", "dst_mac",
                                  "forwarding_status", "icmp_type", "icmp_code", "ipv6_flow_label", "src_net", "dst_net", "bgp_next_hop", "bgp_communities", "as_path",
                                  "mpls_label", "etype", "ip_ttl", "next_hop_as"}) {
    for (const char* const part : {field, ": ", field, ", "}) unmapped += part;
  }
  unmapped += "country: null}";
  const std::pair<std::string, std::string> expressions[] = {
      {"class_uid", "4001"},
      {"category_uid", "4"},
      {"activity_id", "6"},
      {"type_uid", "400106"},
      {"severity_id", "1"},
      {"time", "floor((time_flow_end_ns > 0 ? time_flow_end_ns : time_received_ns) / 1000000)"},
      {"start_time", "time_flow_start_ns > 0 ? floor(time_flow_start_ns / 1000000) : null"},
      {"src_endpoint", "{ip: src_addr, port: src_port, autonomous_system: src_as > 0 ? {number: src_as} : null, interface_uid: in_if > 0 ? string(in_if) : null}"},
      {"dst_endpoint", "{ip: dst_addr, port: dst_port, autonomous_system: dst_as > 0 ? {number: dst_as} : null, interface_uid: out_if > 0 ? string(out_if) : null}"},
      {"connection_info", "{protocol_num: proto, protocol_name: proto == 6 ? 'tcp' : proto == 17 ? 'udp' : 'other', tcp_flags: tcp_flags, direction_id: 0}"},
      {"traffic.bytes", "bytes"},
      {"traffic.packets", "packets"},
      {"device", "{ip: sampler_address, type_id: 12}"},
      {"metadata", "{product: {name: 'bench'}, version: '1.7.0', original_time: string(time_received_ns)}"},
      {"unmapped", unmapped},
      {"osint", "[]"}};
  std::string list;
  for (const auto& [key, value] : expressions) {
    if (!list.empty()) list += ',';
    for (const std::string_view part : {std::string_view("{\"key\":\""), std::string_view(key), std::string_view("\",\"value\":\""), std::string_view(value), std::string_view("\"}")}) list += part;
  }
  const auto decision = rules::Decision::parse(
      "{\"nodes\":[{\"id\":\"i\",\"type\":\"inputNode\"},{\"id\":\"o\",\"type\":\"outputNode\"},{\"id\":\"e\",\"type\":\"expressionNode\",\"content\":"
      "{\"expressions\":[" + list + "]}}],\"edges\":[{\"sourceId\":\"i\",\"targetId\":\"e\"},{\"sourceId\":\"e\",\"targetId\":\"o\"}]}");
  auto program = decision ? rules::DecisionProgram::compile(*decision) : decision.error();
  if (!program) {
    std::fprintf(stderr, "%s\n", program.error().message.c_str());
    std::exit(1);
  }
  return std::move(*program);
}

void decide_all(const Flows& flows, const rules::DecisionProgram& decision, transform::DecisionWriter& writer, EventRing& ring) {
  FlowView view;
  outbound::BatchWalk walk(flows.octets);
  auto end = transform::DecisionEnd::written;
  for (outbound::BatchEntry entry; walk.next(entry);) {
    if (!parse_flow(entry.message, view)) std::abort();
    const size_t octets = writer.write(decision, view, {}, ring.next(), end);
    if (octets == 0) std::abort();
    ring.keep(octets);
  }
}

void report(benchmark::State& state, uint64_t flows, uint64_t octets, uint64_t allocated) {
  state.SetItemsProcessed(static_cast<int64_t>(flows));
  const auto per_flow = [flows](uint64_t n) { return static_cast<double>(n) / static_cast<double>(flows); };
  if (octets != 0) state.counters["octets_per_flow"] = per_flow(octets);
  state.counters["allocations_per_flow"] = per_flow(allocated);
  state.counters["ns_per_flow"] = benchmark::Counter(static_cast<double>(flows) * 1e-9,
                                                     benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void bench_parse(benchmark::State& state, Protocol protocol) {
  const Flows flows(protocol);
  const uint64_t before = allocations();
  for (auto _ : state) benchmark::DoNotOptimize(parse_all(flows));
  report(state, state.iterations() * flows.records, 0, allocations() - before);
}

void bench_event(benchmark::State& state, Protocol protocol, const transform::OcsfOptions& options) {
  const Flows flows(protocol);
  const transform::OcsfWriter writer(options);
  EventRing ring;
  const uint64_t before = allocations();
  for (auto _ : state) write_all(flows, writer, ring);
  report(state, state.iterations() * flows.records, ring.total, allocations() - before);
}

void bench_rules(benchmark::State& state, Protocol protocol) {
  const Flows flows(protocol);
  const auto rules = fifty_rules();
  rules::Scratch scratch;
  rules::Outcome outcome;
  std::vector<rules::RuleCounts> counts(rules->rules().size());
  const uint64_t before = allocations();
  for (auto _ : state) benchmark::DoNotOptimize(run_rules(flows, *rules, scratch, outcome, counts));
  report(state, state.iterations() * flows.records, 0, allocations() - before);
}

void bench_transform(benchmark::State& state, Protocol protocol) {
  const Flows flows(protocol);
  const auto rules = fifty_rules();
  const transform::OcsfWriter writer({});
  rules::Scratch scratch;
  rules::Outcome outcome;
  std::vector<rules::RuleCounts> counts(rules->rules().size());
  EventRing ring;
  const uint64_t before = allocations();
  for (auto _ : state) transform_all(flows, *rules, scratch, outcome, counts, writer, ring);
  report(state, state.iterations() * flows.records, ring.total, allocations() - before);
}

/// The same with what is known of both addresses. They differ from flow to flow, as real ones do, so that lookups miss caches.
void bench_enriched(benchmark::State& state, Protocol protocol) {
  const Flows flows(protocol);
  const auto rules = fifty_rules();
  const transform::OcsfWriter writer({});
  const auto known = two_databases();
  rules::Scratch scratch;
  rules::Outcome outcome;
  std::vector<rules::RuleCounts> counts(rules->rules().size());
  EventRing ring;
  const uint64_t before = allocations();
  for (auto _ : state) transform_all(flows, *rules, scratch, outcome, counts, writer, ring, known.get());
  report(state, state.iterations() * flows.records, ring.total, allocations() - before);
}

/// A decision file's result in place of the event.
void bench_decision(benchmark::State& state, Protocol protocol) {
  const Flows flows(protocol);
  const rules::DecisionProgram decision = event_decision();
  transform::DecisionWriter writer;
  EventRing ring;
  const uint64_t before = allocations();
  for (auto _ : state) decide_all(flows, decision, writer, ring);
  report(state, state.iterations() * flows.records, ring.total, allocations() - before);
}

/// Of random addresses, one in five of IPv6.
void bench_lookup(benchmark::State& state) {
  const auto known = two_databases();
  std::vector<IpAddress> addresses;
  uint64_t x = 2463534242;
  const auto next = [&x] { return x ^= x << 13, x ^= x >> 7, x ^= x << 17; };
  for (int i = 0; i < 1 << 16; ++i) {
    IpAddress address = IpAddress::from_v4(static_cast<uint32_t>(next()));
    if (i % 5 == 4) store_be64(address.octets.data(), uint64_t{1} << 61 | next() >> 3);
    addresses.push_back(address);
  }
  size_t at = 0;
  for (auto _ : state) {
    const IpAddress& address = addresses[at++ % addresses.size()];
    benchmark::DoNotOptimize(known->find({reinterpret_cast<const char*>(address.wire_data()), address.wire_octets()})->as_number);
  }
}

void bench_plain_consumer(benchmark::State& state, Protocol protocol) {
  const Flows flows(protocol);
  std::string line;
  uint64_t octets = 0;
  const uint64_t before = allocations();
  for (auto _ : state) {
    outbound::read_flows(flows.octets, [&](const flowpb::FlowMessage& flow) {
      line.clear();
      outbound::append_json_line(flow, line);
      octets += line.size();
    });
  }
  report(state, state.iterations() * flows.records, octets, allocations() - before);
}

constexpr Protocol kProtocols[] = {Protocol::netflow_v5, Protocol::netflow_v9, Protocol::ipfix,
                                   Protocol::ipfix_varlen, Protocol::mixed_10_exporters, Protocol::sflow_raw_header};

constexpr int kPasses = 3;
constexpr int kPrefixesOfPasses = 20'000;  // the same instructions but for a few steps of a search, and made in a moment

/// Some passes, for whoever counts instructions. Prints how many flows went through transform_all.
int passes(std::string_view protocol) {
  const auto* const wanted = std::find_if(std::begin(kProtocols), std::end(kProtocols), [&](Protocol p) { return name_of(p) == protocol; });
  if (wanted == std::end(kProtocols)) {
    std::fprintf(stderr, "bench_transform --passes PROTOCOL\n");
    return 2;
  }
  const Flows flows(*wanted);
  const auto rules = fifty_rules();
  const transform::OcsfWriter writer({.product_version = "0"});  // other versions are of other lengths
  const auto known = two_databases(kPrefixesOfPasses);
  rules::Scratch scratch;
  rules::Outcome outcome;
  std::vector<rules::RuleCounts> counts(rules->rules().size());
  EventRing ring;
  for (int i = 0; i < kPasses; ++i) transform_all(flows, *rules, scratch, outcome, counts, writer, ring, known.get());
  std::printf("%llu\n", static_cast<unsigned long long>(flows.records * kPasses));
  return 0;
}

int smoke() {
  int failures = 0;
  const auto known = two_databases();
  for (const Protocol protocol : kProtocols) {
    const std::string name(name_of(protocol));
    const Flows flows(protocol);
    const transform::OcsfWriter writer({});
    EventRing ring;
    const auto rules = fifty_rules();
    rules::Scratch scratch;
    rules::Outcome outcome;
    std::vector<rules::RuleCounts> counts(rules->rules().size());
    const rules::DecisionProgram decision = event_decision();
    transform::DecisionWriter decision_writer;
    EventRing results;
    const uint64_t before = allocations();
    parse_all(flows);
    decide_all(flows, decision, decision_writer, results);
    write_all(flows, writer, ring);
    transform_all(flows, *rules, scratch, outcome, counts, writer, ring, known.get());
    if (allocations() != before) {
      std::fprintf(stderr, "bench_transform: %s: memory was allocated for a flow\n", name.c_str());
      ++failures;
    }
    uint64_t hits = 0, errors = 0;
    for (const rules::RuleCounts& c : counts) hits += c.hits, errors += c.errors;
    if (hits < flows.records || errors != 0) {
      std::fprintf(stderr, "bench_transform: %s: %llu hits of rules, %llu errors\n", name.c_str(),
                   static_cast<unsigned long long>(hits), static_cast<unsigned long long>(errors));
      ++failures;
    }
    std::printf("%s: %llu flows, events of %.1f octets, %.2f rules hit each\n", name.c_str(),
                static_cast<unsigned long long>(flows.records),
                static_cast<double>(ring.total) / static_cast<double>(2 * flows.records),
                static_cast<double>(hits) / static_cast<double>(flows.records));
  }
  return failures == 0 ? 0 : 1;
}

/// What is measured here, for whoever measures weir-etl as a whole.
int write_files(const std::string& folder) {
  std::vector<enrich::DataSet> sets = two_data_sets(kPrefixes);
  for (enrich::DataSet& set : sets) {
    // The writer wants what lies within another after it.
    std::stable_sort(set.prefixes.begin(), set.prefixes.end(), [](const auto& a, const auto& b) { return a.length < b.length; });
    const bool is_country = set.type == "Country";
    test::MmdbWriter writer("Bench-" + set.type);
    for (const enrich::Prefix& p : set.prefixes) {
      const enrich::Entry& entry = set.entries[p.value];
      const std::string what = is_country ? test::MmdbWriter::country(entry.country) : test::MmdbWriter::as_number(entry.as_number, entry.as_name);
      if (p.length == 0) {
        // A tree has no place for all of it: its halves.
        IpAddress upper;
        upper.octets[0] = 0x80;
        writer.add(p.address, 1, what);
        writer.add(upper, 1, what);
      } else {
        writer.add(p.address, p.address.is_v4() ? p.length - 96u : p.length, what);
      }
    }
    writer.write(folder + (is_country ? "/country.mmdb" : "/asn.mmdb"));
  }
  std::ofstream(folder + "/rules.yaml") << fifty_rules_text();
  return 0;
}

}  // namespace
}  // namespace weir::perf

int main(int argc, char** argv) {
  using namespace weir::perf;
  if (argc == 2 && std::string_view(argv[1]) == "--smoke") return smoke();
  if (argc == 3 && std::string_view(argv[1]) == "--passes") return passes(argv[2]);
  if (argc == 3 && std::string_view(argv[1]) == "--write") return write_files(argv[2]);
  for (const Protocol p : kProtocols) {
    const std::string name(name_of(p));
    benchmark::RegisterBenchmark(("parse/" + name).c_str(), bench_parse, p);
    benchmark::RegisterBenchmark(("event/" + name).c_str(), bench_event, p, weir::transform::OcsfOptions());
    benchmark::RegisterBenchmark(("event_without_id/" + name).c_str(), bench_event, p, weir::transform::OcsfOptions{.community_id = false});
    benchmark::RegisterBenchmark(("rules/" + name).c_str(), bench_rules, p);
    benchmark::RegisterBenchmark(("transform/" + name).c_str(), bench_transform, p);
    benchmark::RegisterBenchmark(("enriched/" + name).c_str(), bench_enriched, p);
    benchmark::RegisterBenchmark(("decision/" + name).c_str(), bench_decision, p);
    benchmark::RegisterBenchmark(("plain_consumer/" + name).c_str(), bench_plain_consumer, p);
  }
  benchmark::RegisterBenchmark("lookup", bench_lookup);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
