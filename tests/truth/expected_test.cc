// Expected decodes that came with captures (INDEX.tsv names them): every value of every one compared
// with what decoder and encoder make of the capture. What differs is explained by a row of
// docs/PROTOCOLS.md with the standard's clause, as often as the row says; anything else fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <regex>
#include <set>

#include "support/captures.h"
#include "truth/differences.h"
#include "truth/golden_readers.h"

namespace weir::truth {
namespace {

namespace fs = std::filesystem;
using flowpb::FlowMessage;
using google::protobuf::Message;

/// An expected decode with the captures that INDEX.tsv says it is of.
struct Unit {
  std::string golden;
  std::vector<test::CaptureFile> captures;
  bool is_sequence = false;  // exactly what the golden's own test feeds
};

struct Report {
  Differences differences = Differences::read();
  std::set<std::string> files;
  uint64_t records = 0;
  uint64_t values = 0;
  uint64_t explained = 0;
  uint64_t unexplained = 0;
  std::map<std::string, std::pair<uint64_t, std::string>> examples;

  /// `theirs`: their value. One that says nothing has a row of its own.
  void differs(const std::string& golden, std::string field, const std::string& theirs,
               const std::string& ours) {
    if (is_nothing(theirs) && field[0] != '(') field += " = 0";
    const std::string what = theirs + ", ours " + ours;
    if (differences.explain(golden, field) != nullptr) {
      ++explained;
      return;
    }
    ++unexplained;
    auto& [count, example] = examples[golden + ": " + field];
    if (count++ == 0) example = what;
  }
};

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& v : values) append_word(text, v);
  return values.empty() ? "nothing" : text;
}

size_t disagreements(const Message& m, const Record& record) {
  return static_cast<size_t>(std::count_if(record.begin(), record.end(),
                                           [&m](const Expected& e) { return !agrees(m, e); }));
}

/// Pairs each record with the message that says the same, else with that which differs least.
template <class M>
void compare_records(const std::string& golden, const std::vector<Record>& theirs,
                     const std::vector<M>& ours, Report& report) {
  std::vector<bool> taken(ours.size());
  std::vector<const Record*> left;
  const auto note = [&](const Record& record) {
    ++report.records;
    report.values += record.size();
  };
  for (const Record& record : theirs) {
    note(record);
    size_t at = 0;
    while (at < ours.size() && (taken[at] || disagreements(ours[at], record) != 0)) ++at;
    if (at == ours.size()) {
      left.push_back(&record);
    } else {
      taken[at] = true;
    }
  }
  for (const Record* record : left) {
    size_t best = ours.size();
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < ours.size(); ++i) {
      if (taken[i]) continue;
      const size_t n = disagreements(ours[i], *record);
      if (n >= least) continue;
      least = n;
      best = i;
    }
    if (best == ours.size()) {
      report.differs(golden, "(record)", "one", "none");
      continue;
    }
    taken[best] = true;
    for (const Expected& e : *record) {
      if (agrees(ours[best], e)) continue;
      report.differs(golden, e.name, e.value, joined(values_at(ours[best], e)));
    }
  }
}

// ---- Options data, which becomes state ------------------------------------------------------------

const Expected* find(const Record& record, const char* name) {
  const auto found = std::find_if(record.begin(), record.end(),
                                  [name](const Expected& e) { return e.name == name; });
  return found == record.end() ? nullptr : &*found;
}

std::string text_of(const Record& record, const char* name) {
  const Expected* e = find(record, name);
  return e == nullptr ? "" : e->value;
}

/// The names that options data gave: what is asked for must have been told by an event.
bool is_told(const Decoded& ours, decode::NameKind kind, const std::string& id,
             const std::function<bool(const decode::Event&)>& says) {
  return std::any_of(ours.events.begin(), ours.events.end(), [&](const decode::Event& e) {
    const bool named =
        e.kind == decode::EventKind::name_learned || e.kind == decode::EventKind::name_changed;
    if (!named || e.name_kind != kind) return false;
    return (id.empty() || number_text(e.id()) == id) && says(e);
  });
}

/// One value of an options record; whether we know it.
bool is_known(const Decoded& ours, const Record& record, const Expected& e) {
  using decode::NameKind;
  const auto name_is = [&e](const decode::Event& event) { return event.name() == e.value; };
  const auto description_is = [&e](const decode::Event& event) {
    return event.description() == e.value;
  };
  std::string interface = text_of(record, "ingressInterface");
  if (interface.empty()) interface = text_of(record, "egressInterface");
  const std::string sampler =
      find(record, "selectorId") ? text_of(record, "selectorId") : text_of(record, "samplerId");
  if (e.name == "ingressInterface" || e.name == "egressInterface") {
    return is_told(ours, NameKind::interface, e.value, [](const auto&) { return true; });
  }
  if (e.name == "interfaceName") return is_told(ours, NameKind::interface, interface, name_is);
  if (e.name == "interfaceDescription") {
    return is_told(ours, NameKind::interface, interface, description_is);
  }
  if (e.name == "ingressVRFID" || e.name == "egressVRFID") {
    return is_told(ours, NameKind::vrf, e.value, [](const auto&) { return true; });
  }
  if (e.name == "VRFname")
    return is_told(ours, NameKind::vrf, text_of(record, "ingressVRFID"), name_is);
  if (e.name == "selectorId" || e.name == "samplerId") {
    return is_told(ours, NameKind::sampler, e.value, [](const auto&) { return true; });
  }
  if (e.name == "samplerName" || e.name == "selectorName") {
    return is_told(ours, NameKind::sampler, sampler, name_is);
  }
  if (e.name == "samplingSize" || e.name == "samplingPopulation") {
    const uint64_t rate = std::stoull(text_of(record, "samplingPopulation")) /
                          std::stoull(text_of(record, "samplingSize"));
    return is_told(ours, NameKind::sampler, sampler,
                   [rate](const auto& event) { return event.rate == rate; });
  }
  if (e.name == "samplingPacketInterval" && !sampler.empty() &&
      !find(record, "samplingPacketSpace")) {
    return is_told(ours, NameKind::sampler, sampler,
                   [](const auto& event) { return event.rate == 1; });
  }
  if (e.name == "application_id") {
    return is_told(ours, NameKind::application, "", [&](const auto& event) {
      flowpb::FlowMessage m;
      m.set_application_id(std::string(event.key_text()));
      return agrees(m, {e.name, Kind::application, e.value, {{"application_id"}}});
    });
  }
  if (e.name == "application_name") return is_told(ours, NameKind::application, "", name_is);
  if (e.name == "application_description") {
    return is_told(ours, NameKind::application, "", description_is);
  }
  // The flows' own times were made with it.
  if (e.name == "systemInitTimeMilliseconds") {
    return std::any_of(ours.flows.begin(), ours.flows.end(),
                       [](const FlowMessage& m) { return m.time_source() == flowpb::TIME_UPTIME; });
  }
  uint64_t rate = 0;
  if (e.name == "samplingInterval" || e.name == "sampling_interval") rate = std::stoull(e.value);
  if (e.name == "samplingPacketInterval" || e.name == "samplingPacketSpace") {
    const uint64_t taken = std::stoull(text_of(record, "samplingPacketInterval"));
    const Expected* space = find(record, "samplingPacketSpace");
    rate = (taken + (space == nullptr ? 0 : std::stoull(space->value))) / taken;
  }
  const auto& rates = ours.domain_rates;
  return rate != 0 && std::find(rates.begin(), rates.end(), rate) != rates.end();
}

void compare_options(const std::string& golden, const std::vector<Record>& theirs,
                     const Decoded& ours, Report& report) {
  for (const Record& record : theirs) {
    ++report.records;
    report.values += record.size();
    for (const Expected& e : record) {
      if (!is_known(ours, record, e)) {
        report.differs(golden, "options: " + e.name, e.value, "not kept");
      }
    }
  }
}

// ---- Sums -----------------------------------------------------------------------------------------

uint64_t number_at(const FlowMessage& m, const std::string& column) {
  const auto values = values_at(m, {"", Kind::number, "", {{column}}});
  return values.empty() ? 0 : std::strtoull(values[0].c_str(), nullptr, 10);
}

uint64_t added_up(const std::vector<const FlowMessage*>& flows, const Sum& sum, bool multiplied) {
  uint64_t value = sum.op == Sum::Op::first ? UINT64_MAX : 0;
  for (const FlowMessage* m : flows) {
    const uint64_t v = sum.column.empty() ? 0 : number_at(*m, sum.column);
    switch (sum.op) {
      case Sum::Op::total:
        value += multiplied && m->sampling_rate() > 1 ? v * m->sampling_rate() : v;
        break;
      case Sum::Op::count: ++value; break;
      case Sum::Op::any_bit: value |= v; break;
      case Sum::Op::first: value = std::min(value, v); break;
      case Sum::Op::last: value = std::max(value, v); break;
      case Sum::Op::seen:
        if (v == sum.value) return v;
        value = v;
        break;
    }
  }
  return value;
}

Record turned(Record filter) {
  for (Expected& e : filter) {
    for (Place& p : e.places) {
      for (const auto& [from, to] : {std::pair("src", "dst"), std::pair("dst", "src")}) {
        if (const size_t at = p.column.find(from); at != std::string::npos) {
          p.column.replace(at, 3, to);
          break;
        }
      }
    }
  }
  return filter;
}

void compare_sums(const std::string& golden, const std::vector<SumRecord>& theirs,
                  const Decoded& frames, Report& report, const Decoded& packets = {}) {
  const bool multiplied = golden.starts_with("pmacct");
  for (const SumRecord& record : theirs) {
    const Decoded& ours = record.of_ip ? packets : frames;
    ++report.records;
    report.values += record.filter.size() + record.sums.size();
    Record filter;
    for (const Expected& e : record.filter) {
      if (!e.places.empty() || is_nothing(e.value)) filter.push_back(e);
      if (e.places.empty() && (e.name[0] == '(' || !is_nothing(e.value))) {
        report.differs(golden, e.name, e.value, "not there");
      }
    }
    std::vector<const FlowMessage*> flows;
    const FlowMessage* nearest = nullptr;
    size_t least = SIZE_MAX;
    const Record other_way = record.either_direction ? turned(filter) : Record{};
    for (const FlowMessage& m : ours.flows) {
      size_t n = disagreements(m, filter);
      if (record.either_direction) n = std::min(n, disagreements(m, other_way));
      if (n == 0) flows.push_back(&m);
      if (n < least) {
        least = n;
        nearest = &m;
      }
    }
    const bool expected = std::any_of(record.sums.begin(), record.sums.end(),
                                      [](const Sum& s) { return s.value != 0; }) ||
                          (record.sums.empty() && !filter.empty() && !filter[0].places.empty());
    if (flows.empty() && expected && nearest != nullptr) {
      for (const Expected& e : filter) {
        if (agrees(*nearest, e)) continue;
        report.differs(golden, e.name, e.value, joined(values_at(*nearest, e)));
      }
      flows.push_back(nearest);
      if (!multiplied) continue;
    }
    for (const Sum& sum : record.sums) {
      const uint64_t own = added_up(flows, sum, multiplied);
      if (own - sum.value < std::max<uint64_t>(1, sum.tolerance)) continue;
      report.differs(golden, sum.name, number_text(sum.value), number_text(own));
    }
  }
}

// ---- One unit -------------------------------------------------------------------------------------

std::vector<fs::path> paths_of(const std::vector<test::CaptureFile>& captures) {
  std::vector<fs::path> paths;
  for (const test::CaptureFile& c : captures) paths.push_back(c.path());
  return paths;
}

/// All parts of a scenario (NetGauze) up to the capture's own.
std::vector<fs::path> with_parts_before(const fs::path& capture) {
  std::vector<fs::path> parts;
  for (const auto& entry : fs::directory_iterator(capture.parent_path())) {
    if (entry.path().extension() == ".pcap" && entry.path() <= capture) parts.push_back(entry);
  }
  std::sort(parts.begin(), parts.end());
  return parts;
}

/// Whatever a record says has a source in the golden, or is made of what the message is. (58 and 243 fill
/// two columns, vlan_id among them.)
void expect_nothing_invented(const Golden& golden, const Decoded& ours) {
  std::set<std::string> sources = {"time_received_ns",   "sampling_rate",   "sampling_source",
                                   "sampler_address",    "exporter_port",   "etype",
                                   "protocol_name",      "time_source",     "icmp_type",
                                   "icmp_code",          "in_if_name",      "out_if_name",
                                   "ingress_vrf_name",   "egress_vrf_name", "time_flow_end_ns",
                                   "time_flow_start_ns", "vlan_id",         "unmapped"};
  for (const Record& record : golden.flows) {
    for (const Expected& e : record) {
      for (const Place& p : e.places) sources.insert(p.column.substr(0, p.column.find('/')));
    }
  }
  for (const FlowMessage& m : ours.flows) {
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    m.GetReflection()->ListFields(m, &fields);
    for (const auto* field : fields) EXPECT_TRUE(sources.contains(field->name())) << field->name();
  }
}

void compare_netgauze(const Unit& unit, Report& report) {
  // A part's options data serves the next part, whose golden is this one.
  const fs::path capture = unit.captures.front().path();
  const std::vector<fs::path> parts = with_parts_before(capture);
  Golden golden;
  NetgauzeReader reader;
  for (const fs::path& part : parts) {
    std::string stem = part.string();
    stem.resize(stem.size() - 5);  // .pcap
    for (const char* extension : {"-flow.json", "-flow.json.gz"}) {
      if (part != capture && fs::exists(stem + extension)) reader.read(stem + extension, golden);
    }
  }
  reader.read(test::captures_folder() / unit.golden, golden);
  const Decoded ours = decode_captures(parts);
  compare_records(unit.golden, golden.flows, ours.flows, report);
  compare_options(unit.golden, golden.options, ours, report);
  expect_nothing_invented(golden, ours);
  EXPECT_EQ(ours.flows.size(), golden.flows.size());
  EXPECT_EQ(ours.options_records, golden.options.size());
}

void compare_golden(const Unit& unit, const Golden& golden, Report& report) {
  const Decoded ours = decode_captures(paths_of(unit.captures));
  compare_records(unit.golden, golden.flows, ours.flows, report);
  compare_records(unit.golden, golden.counters, ours.counters, report);
  compare_records(unit.golden, golden.discards, ours.discards, report);
  compare_options(unit.golden, golden.options, ours, report);
  if (golden.events != 0 && unit.is_sequence) {
    EXPECT_EQ(ours.flows.size() + ours.options_records, golden.events);
  }
  EXPECT_GE(ours.counters.size(), golden.counters.size());
}

/// False where nobody reads such a golden.
bool compare_unit(const Unit& unit, Report& report) {
  const fs::path golden = test::captures_folder() / unit.golden;
  const std::string& name = unit.golden;
  const bool traffic = unit.captures.front().kind == "traffic";
  const auto sampled = [&unit] { return decode_sampled(unit.captures.front().path()); };
  if (name.starts_with("NetGauze")) {
    compare_netgauze(unit, report);
  } else if (name.starts_with("pmacct")) {
    compare_sums(name, read_pmacct(golden), decode_captures(paths_of(unit.captures)), report);
  } else if (name.find("/golden/") != std::string::npos && name.ends_with(".json")) {
    Golden g;
    read_logstash(golden, g);
    compare_golden(unit, g, report);
  } else if (name.ends_with("expected.out")) {
    Golden g;
    read_telegraf(golden, g);
    compare_golden(unit, g, report);
  } else if (name.starts_with("the-tcpdump-group") && !traffic) {
    Golden g;
    read_tcpdump_sflow(golden, g);
    compare_golden(unit, g, report);
  } else if (name.starts_with("the-tcpdump-group")) {
    compare_records(name, read_tcpdump_traffic(golden), sampled().flows, report);
  } else if (name.starts_with("arkime")) {
    compare_sums(name, read_arkime(golden), sampled(), report);
  } else if (name.starts_with("CESNET-ipfixprobe")) {
    compare_sums(name, read_ipfixprobe(golden), sampled(), report,
                 decode_sampled(unit.captures.front().path(), SampleAs::ip));
  } else if (name.ends_with(".stats.txt")) {
    compare_sums(name, read_softflowd(golden), decode_captures(paths_of(unit.captures)), report);
  } else {
    return false;
  }
  return true;
}

/// Goldens with their captures. Datagrams in files of their own are joined; a sequence of them, and
/// each capture of a scenario, is a unit by itself.
std::vector<Unit> read_units() {
  std::map<std::pair<std::string, std::string>, Unit> units;
  for (const test::CaptureFile& capture : test::read_captures_index()) {
    for (const std::string& golden : capture.goldens) {
      const bool joined = capture.kind == "flow" && !golden.starts_with("NetGauze") &&
                          !golden.starts_with("the-tcpdump-group");
      Unit& unit = units[{golden, joined ? "parts" : capture.name}];
      unit.golden = golden;
      unit.captures.push_back(capture);
      unit.is_sequence = capture.kind == "sequence";
    }
  }
  std::vector<Unit> all;
  for (auto& [key, unit] : units) all.push_back(std::move(unit));
  return all;
}

bool cites_a_standard(const std::string& why) {
  static const std::regex clause(
      "RFC [0-9]+|IANA [0-9]+|sFlow v5 §|NetFlow v5 header|LINKTYPE_|capture holds");
  return std::regex_search(why, clause);
}

TEST(ExpectedDecodes, EveryValueIsOursOrExplained) {
  const std::vector<Unit> units = read_units();
  if (units.empty()) GTEST_SKIP() << "no captures in " << test::captures_folder();
  const char* const only = std::getenv("WEIR_TRUTH_ONLY");  // part of a name, for looking closer
  Report report;
  for (const Unit& unit : units) {
    if (only != nullptr && unit.golden.find(only) == std::string::npos) continue;
    SCOPED_TRACE(unit.golden + " of " + unit.captures.front().name);
    EXPECT_TRUE(fs::exists(test::captures_folder() / unit.golden));
    try {
      EXPECT_TRUE(compare_unit(unit, report)) << "no reader for this expected decode";
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
    report.files.insert(unit.golden);
  }
  std::cout << report.files.size() << " expected decodes with " << units.size() << " captures, "
            << report.records << " records, " << report.values << " values compared; "
            << report.explained << " differ as explained, " << report.unexplained << " do not\n";
  for (const auto& [where, what] : report.examples) {
    std::cout << "  " << what.first << " of " << where << ", e.g. " << what.second << "\n";
  }
  EXPECT_EQ(report.unexplained, 0u);
  if (only != nullptr) return;
  EXPECT_GT(report.values, 50'000u);
  for (const Difference& d : report.differences.rows()) {
    EXPECT_TRUE(d.why.starts_with("The same") || cites_a_standard(d.why)) << d.why;
    EXPECT_EQ(d.seen, d.values) << d.golden << " | " << d.field;
  }
}

}  // namespace
}  // namespace weir::truth
