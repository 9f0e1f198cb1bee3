// make_corpora.cc — What the fuzz targets begin with: messages of the lab, and pieces of the captures
// in ../shared/captures where those are.
//
// usage: make_corpora FOLDER     writes FOLDER/TARGET/…, a file for each input that differs
//
// Inputs are short: of a capture's datagram what a target can tell from others is kept, a template with
// the first records of its data, or one sample.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "decode/decoder.h"
#include "decode/state_image.h"
#include "enrich/good_lists.h"
#include "fuzz/good_messages.h"
#include "packet/sampled_header.h"
#include "fuzz/oracle_sink.h"
#include "query/srql_queries.h"
#include "rules/good_rules.h"
#include "support/captures.h"
#include "support/payloads.h"

namespace weir::decode {
namespace {

using lab::append;
using lab::Octets;
using View = std::span<const uint8_t>;

constexpr size_t kDataOctets = 160;      // of a data set
constexpr size_t kSequenceOctets = 500;  // of a sequence
constexpr size_t kFusedOctets = 1024;    // scripts/fuzz.sh's longest
constexpr size_t kFramesPerCapture = 12;
constexpr size_t kFrameOctets = 400;

class Corpora {
 public:
  explicit Corpora(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void add(const char* target, View input) {
    Fold hash;
    hash.octets(input.data(), input.size());
    if (!seen_.insert({target, hash.value()}).second) return;
    const auto path = folder_ / target;
    std::filesystem::create_directories(path);
    char name[17];
    std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(hash.value()));
    std::ofstream(path / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(input.data()),
               static_cast<std::streamsize>(input.size()));
  }
  /// With the control octet that a target's input begins with.
  void add(const char* target, uint8_t control, View octets) {
    Octets input{control};
    input.insert(input.end(), octets.begin(), octets.end());
    add(target, input);
  }
  /// `control` is of each datagram: exporter, port and time (datagram_oracle.h).
  void add_sequence(const std::vector<Octets>& datagrams, uint8_t control = 0x10) {
    Octets input;
    for (const Octets& d : datagrams) {
      append(input,
             {control, static_cast<uint8_t>(d.size() & 0xff), static_cast<uint8_t>(d.size() >> 8)});
      append(input, d);
      if (input.size() > kSequenceOctets) break;
    }
    add("sequence", input);
  }
  /// As any datagrams one behind the other (fused_oracle.h), of each exporter that it has.
  void add_fused(const std::vector<Octets>& datagrams) {
    for (uint8_t exporter = 0; exporter < 4; ++exporter) {
      Octets input{3, exporter};
      for (const Octets& d : datagrams) {
        if (input.size() + 2 + d.size() > kFusedOctets) break;
        append(input, {static_cast<uint8_t>(d.size() & 0xff), static_cast<uint8_t>(d.size() >> 8)});
        append(input, d);
      }
      if (input.size() > 2) add("fused", input);
    }
  }
  size_t size() const { return seen_.size(); }

 private:
  std::filesystem::path folder_;
  std::set<std::pair<std::string, uint64_t>> seen_;
};

/// Octets of one definition at the begin of a template set's content; 0 if it is not whole.
size_t definition_octets(uint16_t set_id, View body) {
  const bool options = set_id == 1 || set_id == 3;
  if (body.size() < (options ? 6u : 4u)) return 0;
  size_t at = options ? 6 : 4;
  if (set_id == 1) {
    at += load_be16(body.data() + 2) + load_be16(body.data() + 4);
    return at <= body.size() ? at : 0;
  }
  for (uint16_t left = load_be16(body.data() + 2); left != 0; --left) {
    if (body.size() < at + 4) return 0;
    at += set_id != 0 && (body[at] & 0x80) != 0 ? 8 : 4;
  }
  return at <= body.size() ? at : 0;
}

/// The datagrams of one capture, cut into what is worth keeping.
class Cutter {
 public:
  explicit Cutter(Corpora& corpora) : corpora_(corpora) {}

  void take(View d, const IpAddress& source) {
    if (d.size() < 16) return;
    switch (load_be16(d.data())) {
      case 1:
        return corpora_.add("netflow_fixed", 0x04, d.first(std::min<size_t>(d.size(), 16 + 96)));
      case 5:
        return corpora_.add("netflow_fixed", 0x00, d.first(std::min<size_t>(d.size(), 24 + 96)));
      case 7:
        return corpora_.add("netflow_fixed", 0x08, d.first(std::min<size_t>(d.size(), 24 + 104)));
      case 9: return take_sets(d, 20, "netflow_v9", source);
      case 10: return take_sets(d, 16, "ipfix", source);
      case 0: return take_samples(d);
      default: return;
    }
  }

 private:
  void take_sets(View d, size_t header_octets, const char* target, const IpAddress& source) {
    if (d.size() < header_octets) return;
    const View header = d.first(header_octets);
    const uint32_t domain = load_be32(header.data() + header_octets - 4);
    for (View sets = d.subspan(header_octets); sets.size() >= 4;) {
      const uint16_t id = load_be16(sets.data());
      const size_t length =
          std::min<size_t>(std::max<size_t>(4, load_be16(sets.data() + 2)), sets.size());
      View body = sets.subspan(4, length - 4);
      sets = sets.subspan(length);
      if (id >= 256) {
        data_set({source, domain, id}, header, target, body);
        continue;
      }
      if (id > 3) continue;
      for (size_t n; (n = definition_octets(id, body)) != 0; body = body.subspan(n)) {
        const Octets set = lab::set_octets(id, {body.begin(), body.begin() + static_cast<long>(n)});
        definitions_[{source, domain, load_be16(body.data())}] = set;
        corpora_.add(target, 0, message(header, {set}));
      }
    }
  }

  using Scope = std::tuple<IpAddress, uint32_t, uint16_t>;
  /// A data set with its template: in one message, in two, and the wrong way round.
  void data_set(const Scope& scope, View header, const char* target, View body) {
    const auto known = definitions_.find(scope);
    if (known == definitions_.end()) return;
    if (!used_.insert(known->second).second) return;
    body = body.first(std::min(body.size(), kDataOctets));
    const Octets data = lab::set_octets(std::get<2>(scope), {body.begin(), body.end()});
    corpora_.add(target, 0, message(header, {known->second, data}));
    corpora_.add(target, 0x10, message(header, {data, known->second}));
    const Octets first = message(header, {known->second});
    const Octets then = message(header, {data});
    corpora_.add_sequence({first, then});
    corpora_.add_fused({first, then});
    corpora_.add_sequence({then, first, then});
  }

  static Octets message(View header, const std::vector<Octets>& sets) {
    Octets m(header.begin(), header.end());
    for (const Octets& set : sets) append(m, set);
    if (load_be16(m.data()) == 10) store_be16(m.data() + 2, static_cast<uint16_t>(m.size()));
    return m;
  }

  void take_samples(View d) {
    if (d.size() < 28 || load_be32(d.data()) != 5 || load_be32(d.data() + 4) > 2) return;
    const size_t header = load_be32(d.data() + 4) == 2 ? 40 : 28;
    if (d.size() < header) return;
    for (View samples = d.subspan(header); samples.size() >= 8;) {
      const size_t octets =
          std::min<size_t>(8 + size_t{load_be32(samples.data() + 4)}, samples.size());
      Octets one(d.begin(), d.begin() + static_cast<long>(header));
      store_be32(one.data() + header - 4, 1);
      one.insert(one.end(), samples.begin(), samples.begin() + static_cast<long>(octets));
      corpora_.add("sflow_v5", 0, one);
      samples = samples.subspan(octets);
    }
  }

  Corpora& corpora_;
  std::map<Scope, Octets> definitions_;
  std::set<Octets> used_;
};

/// What packets carry, for each of the readers of names.
void add_payload(View payload, Corpora& corpora) {
  for (uint8_t what = 0; what < 3 && !payload.empty(); ++what) {
    Octets input{what, 0};
    input.insert(input.end(), payload.begin(), payload.end());
    corpora.add("payload_names", input);
  }
}

void add_payloads(Corpora& corpora) {
  const Octets name = lab::text("www.example.org");
  const Octets list = lab::join({lab::u8(0), lab::u16(name.size()), name});
  const Octets extensions = lab::join({lab::u16(0x0a0a), lab::u16(1), lab::u8(0), lab::u16(0), lab::u16(list.size() + 2), lab::u16(list.size()), list});
  const Octets hello = lab::join({lab::u16(0x0303), lab::zeros(32), lab::u8(0), lab::u16(2), lab::u16(0x1301), lab::u8(1), lab::u8(0), lab::u16(extensions.size()), extensions});
  add_payload(lab::join({lab::u8(22), lab::u16(0x0301), lab::u16(hello.size() + 4), lab::u8(1), lab::u24(hello.size()), hello}), corpora);
  add_payload(lab::text("GET / HTTP/1.1\r\nAccept: */*\r\nHost: www.example.org:8080\r\n\r\n"), corpora);
  const Octets dns = lab::join({lab::u32(0x12340100), lab::u16(1), lab::zeros(6), lab::text("\3www\7example\3org"), lab::u8(0), lab::u32(0x00010001)});
  add_payload(dns, corpora);
  Octets by_tcp{0x80 | 2, 0};
  append(by_tcp, lab::join({lab::u16(dns.size()), dns}));
  corpora.add("payload_names", by_tcp);
}

void take_frames(const std::filesystem::path& path, Corpora& corpora) {
  auto reader = lab::CaptureReader::open(path.string());
  if (!reader) return;
  lab::CapturedFrame frame;
  for (size_t i = 0; i < kFramesPerCapture; ++i) {
    const auto more = reader->next(frame);
    if (!more || !*more) return;
    corpora.add("frame", static_cast<uint8_t>(frame.link),
                frame.octets.first(std::min(frame.octets.size(), kFrameOctets)));
    packet::SampledHeader header;
    packet::parse_sampled_header(frame.octets, packet::SampledLink::ethernet, header);
    add_payload(header.payload.first(std::min(header.payload.size(), kFrameOctets)), corpora);
  }
}

/// What a decoder would save after these datagrams.
void add_state(const std::vector<Octets>& datagrams, Corpora& corpora) {
  DecoderConfig config;
  config.listeners.resize(1);
  auto decoder = Decoder::create(config);
  if (!decoder) return;
  OracleSink sink;
  for (const Octets& octets : datagrams) {
    Datagram d;
    d.payload = sink.payload = octets;
    d.source = IpAddress::from_v4(0xC0000201u);
    d.received_ns = test::kPayloadsNow;
    (*decoder)->decode(d, sink);
  }
  Octets saved;
  Octets room(kStateChunkOctetsMin);
  for (StateCursor cursor; !cursor.is_over;) {
    const size_t n = (*decoder)->copy_state(cursor, room);
    saved.insert(saved.end(), room.begin(), room.begin() + static_cast<long>(n));
  }
  corpora.add("state", saved);
}

}  // namespace
}  // namespace weir::decode

int main(int argc, char** argv) {
  using namespace weir;
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_corpora FOLDER\n");
    return 2;
  }
  decode::Corpora corpora(argv[1]);
  const auto add_query = [&](std::string_view text) {
    corpora.add("srql", {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  for (const auto& sequence : lab::good_messages()) {
    decode::Cutter cutter(corpora);
    for (const lab::Octets& d : sequence) cutter.take(d, IpAddress::from_v4(0xC0000201u));
    corpora.add_sequence(sequence);
    corpora.add_sequence(sequence, 0x13);
    corpora.add_fused(sequence);
    lab::Octets stream;
    for (const lab::Octets& d : sequence) lab::append(stream, d);
    corpora.add("framer", 3, stream);
    decode::add_state(sequence, corpora);
  }
  decode::add_payloads(corpora);
  for (const char* const query : query::kQueries) add_query(query);
  for (const char* const query : query::kMoreQueries) add_query(query);
  const auto add_text = [&](const char* target, uint8_t kind, std::string_view text) {
    corpora.add(target, kind, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  for (const char* const text : rules::testing::kGoodExpressions) add_text("rules", 0, text);
  for (const char* const text : rules::testing::kGoodRules) add_text("rules", 1, text);
  for (const char* const text : rules::testing::kGoodDecisions) add_text("rules", 2, text);
  for (const auto& [kind, text] : enrich::testing::good_lists()) add_text("lists", kind, text);
  for (const test::CaptureFile& file : test::read_captures_index()) {
    if (file.is_pcap()) decode::take_frames(file.path(), corpora);
    if (file.kind == "traffic") continue;
    const auto payloads = test::read_payloads(file.path());
    if (!payloads) continue;
    decode::Cutter cutter(corpora);
    std::vector<lab::Octets> sequence;
    for (const test::Payload& p : *payloads) {
      cutter.take(p.octets, p.source);
      if (sequence.size() < 8) sequence.push_back(p.octets);
    }
    corpora.add_sequence(sequence);
    decode::add_state(sequence, corpora);
  }
  std::printf("%zu inputs to begin with in %s\n", corpora.size(), argv[1]);
}
