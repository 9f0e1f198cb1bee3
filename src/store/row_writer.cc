#include "store/row_writer.h"

#include <algorithm>

#include "base/byte_order.h"
#include "flow/flow_parser.h"
#include "transform/flow_facts.h"
#include "transform/ocsf_event.h"
#include "transform/remainder.h"

namespace weir::store {
namespace {

using N = NumberSlot;
using O = OctetsSlot;
using L = ListSlot;
using transform::EventTarget;
using transform::is_address;
using transform::kLongMax;

constexpr uint64_t kNsPerUs = 1000;
constexpr uint64_t kSignBit = uint64_t{1} << 63;  // DuckDB turns a UUID's, so that numbers have the order of octets

duckdb_hugeint uuid_of(std::string_view octets) noexcept {
  const auto* p = reinterpret_cast<const uint8_t*>(octets.data());
  if (octets.size() == 4) return {.lower = uint64_t{0xffff} << 32 | load_be32(p), .upper = static_cast<int64_t>(kSignBit)};
  return {.lower = load_be64(p + 8), .upper = static_cast<int64_t>(load_be64(p) ^ kSignBit)};
}

bool is_not_zero(std::string_view octets) noexcept { return octets.find_first_not_of('\0') != std::string_view::npos; }

uint64_t scaled(uint64_t raw, uint64_t rate) noexcept {
  uint64_t product = 0;
  return __builtin_mul_overflow(raw, std::max<uint64_t>(rate, 1), &product) ? kLongMax : std::min(product, kLongMax);
}

/// TCP, UDP, DCCP, SCTP, UDP-Lite: a port 0 of theirs is one.
bool has_ports(uint64_t proto) noexcept { return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136; }
bool is_icmp(uint64_t proto) noexcept { return proto == 1 || proto == 58; }
constexpr uint64_t kPortMax = 65'535;

/// Numbers whose 0 means that they are not there.
struct Number {
  N slot;
  Column column;
};
constexpr Number kNumbers[] = {{N::ip_ttl, Column::ip_ttl},
                               {N::vlan_id, Column::vlan_id},
                               {N::src_vlan, Column::src_vlan},
                               {N::dst_vlan, Column::dst_vlan},
                               {N::src_net, Column::src_net},
                               {N::dst_net, Column::dst_net},
                               {N::flow_direction, Column::observed_direction},
                               {N::flow_end_reason, Column::flow_end_reason},
                               {N::forwarding_status, Column::forwarding_status},
                               {N::post_nat_src_port, Column::nat_src_port},
                               {N::post_nat_dst_port, Column::nat_dst_port},
                               {N::nat_event, Column::nat_event},
                               {N::firewall_event, Column::firewall_event}};
constexpr Number kBigNumbers[] = {{N::bytes_in, Column::bytes_in_raw},     {N::bytes_out, Column::bytes_out_raw},
                                  {N::packets_in, Column::packets_in_raw}, {N::packets_out, Column::packets_out_raw},
                                  {N::src_mac, Column::src_mac},           {N::dst_mac, Column::dst_mac},
                                  {N::src_as, Column::src_as},             {N::dst_as, Column::dst_as},
                                  {N::next_hop_as, Column::next_hop_as},   {N::in_if, Column::in_if},
                                  {N::out_if, Column::out_if}};
struct Address {
  O slot;
  Column column;
};
constexpr Address kAddresses[] = {{O::next_hop, Column::next_hop},
                                  {O::bgp_next_hop, Column::bgp_next_hop},
                                  {O::post_nat_src_addr, Column::nat_src_addr},
                                  {O::post_nat_dst_addr, Column::nat_dst_addr}};
constexpr Address kTexts[] = {{O::server_name, Column::server_name},
                              {O::user_name, Column::user_name},
                              {O::partition, Column::partition},
                              {O::site, Column::site}};

/// What rules may fill by `set: {unmapped.<column>: …}`.
constexpr Column kOwnColumns[] = {Column::app, Column::server_name, Column::user_name, Column::partition, Column::site,
                                  Column::src_country, Column::dst_country, Column::src_tags, Column::dst_tags,
                                  Column::threat_matched};

void write_endpoints(const FlowView& flow, RowChunk& chunk) {
  const std::string_view source = flow[O::src_addr], destination = flow[O::dst_addr];
  if (is_address(source)) chunk.set_address(Column::src_endpoint_addr, uuid_of(source));
  if (is_address(destination)) chunk.set_address(Column::dst_endpoint_addr, uuid_of(destination));
  const uint64_t proto = flow[N::proto];
  const bool is_ip = is_address(source) || is_address(destination);
  if (proto != 0 || is_ip) chunk.set_number(Column::protocol_num, proto);
  const auto put_port = [&](N slot, Column column) {
    const uint64_t port = flow[slot];
    if (has_ports(proto) ? port <= kPortMax : port != 0 && port <= kPortMax) chunk.set_number(column, port);
  };
  put_port(N::src_port, Column::src_endpoint_port);
  put_port(N::dst_port, Column::dst_endpoint_port);
  if (proto == 6 || flow[N::tcp_flags] != 0) chunk.set_number(Column::tcp_flags, flow[N::tcp_flags]);
  if (is_ip) chunk.set_number(Column::ip_tos, flow[N::ip_tos]);
  if (is_icmp(proto) || (flow[N::icmp_type] | flow[N::icmp_code]) != 0) {
    chunk.set_number(Column::icmp_type, flow[N::icmp_type]);
    chunk.set_number(Column::icmp_code, flow[N::icmp_code]);
  }
}

void write_counters(const FlowView& flow, const transform::Decisions& decisions, RowChunk& chunk) {
  const uint64_t rate = std::min(transform::sampling_rate_of(flow, decisions), kLongMax);
  const uint64_t bytes = transform::bytes_of(flow).sum(), packets = transform::packets_of(flow).sum();
  chunk.set_big_number(Column::bytes_raw, bytes);
  chunk.set_big_number(Column::packets_raw, packets);
  chunk.set_big_number(Column::bytes_total, scaled(bytes, rate));
  chunk.set_big_number(Column::packets_total, scaled(packets, rate));
  chunk.set_big_number(Column::sampling_rate, rate);
}

void write_observer(const FlowView& flow, const transform::Decisions& decisions, RowChunk& chunk) {
  std::string_view exporter = flow[O::sampler_address];
  if (!is_address(exporter)) exporter = flow[O::exporter_address];
  chunk.set_address(Column::sampler_address,
                    is_address(exporter) ? uuid_of(exporter) : duckdb_hugeint{0, static_cast<int64_t>(kSignBit)});
  const uint64_t type = flow[N::type], domain = flow[N::observation_domain_id];
  const bool has_domain = type == static_cast<uint64_t>(FlowType::netflow_v9) || type == static_cast<uint64_t>(FlowType::ipfix);
  if (has_domain || domain != 0) chunk.set_big_number(Column::observation_domain_id, domain);
  chunk.set_number(Column::flow_source, type);
  const auto way = transform::way_of(flow, decisions, transform::inside_of(flow, decisions));
  chunk.set_number(Column::direction_id, decisions.number(EventTarget::direction_id, way.direction));
}

void write_lists(const FlowView& flow, const transform::Decisions& decisions, RowChunk& chunk) {
  if (flow.has(L::as_path)) {
    for_each_number(flow, L::as_path, [&](uint32_t v) { chunk.add_big_number(Column::as_path, v); });
  }
  if (flow.has(L::bgp_communities)) {
    for_each_number(flow, L::bgp_communities, [&](uint32_t v) { chunk.add_big_number(Column::bgp_communities, v); });
  }
  if (flow.has(L::labels)) {
    for_each_octets(flow, L::labels, [&](std::string_view label) { chunk.add_text(Column::labels, label); });
  }
  const rules::Outcome* const outcome = decisions.outcome;
  for (size_t i = 0; outcome != nullptr && i < outcome->labels; ++i) chunk.add_text(Column::labels, outcome->label[i]);
}

/// What is known of the flow's ends. Rules, which come behind, go before it.
void write_facts(const transform::Decisions& decisions, RowChunk& chunk) {
  const auto put = [&](const enrich::AddressFacts* facts, Column country, Column tags) {
    if (facts == nullptr) return false;
    if (!facts->country.empty()) chunk.set_text(country, facts->country);
    if (!facts->cloud.empty()) chunk.add_text(tags, facts->cloud);
    if (!facts->threat.empty()) chunk.add_text(tags, facts->threat);
    return !facts->threat.empty();
  };
  const bool is_threat = put(decisions.src, Column::src_country, Column::src_tags) |
                         put(decisions.dst, Column::dst_country, Column::dst_tags);
  if (is_threat) chunk.set_truth(Column::threat_matched, true);
}

}  // namespace

RowTimes times_of(const FlowView& flow, int64_t now_us) noexcept {
  RowTimes times;
  const auto micros = [&](N slot) { return static_cast<int64_t>(flow[slot] / kNsPerUs); };
  const int64_t received = micros(N::time_received_ns);
  const bool is_received = received != 0 && received <= now_us + kTimeAheadMaxUs && received >= now_us - kReceivedBehindMaxUs;
  times.received = is_received ? received : 0;
  times.is_replaced = received != 0 && !is_received;
  times.time = is_received ? received : now_us;
  const int64_t end = micros(N::time_flow_end_ns), start = micros(N::time_flow_start_ns);
  // Where nobody says when it was received, nobody has judged its end either, and it is all that there is.
  if (end == 0 || (received != 0 && !transform::has_measured_end(flow))) return times;
  if (end > times.time + kTimeAheadMaxUs || end < times.time - (is_received ? kTimeBehindMaxUs : kReceivedBehindMaxUs)) {
    times.is_replaced = true;
    return times;
  }
  times.time = times.end = end;
  if (start != 0 && start <= end) times.start = start;
  return times;
}

RowWriter::RowWriter() : remainder_(std::make_unique<char[]>(transform::kEventOctetsMax)) {}

void RowWriter::take_rules(const rules::Program* program) {
  own_targets_.clear();
  targets_elsewhere_ = 0;
  if (program == nullptr) return;
  for (size_t i = static_cast<size_t>(EventTarget::count_); i < program->targets.size(); ++i) {
    for (const Column column : kOwnColumns) {
      if (program->targets[i].name != "unmapped." + std::string(columns()[static_cast<size_t>(column)].name)) continue;
      own_targets_.push_back({i, column});
      targets_elsewhere_ |= uint64_t{1} << i;
    }
  }
}

void RowWriter::write(const FlowView& flow, const transform::Decisions& decisions, const RowTimes& times, RowChunk& chunk) {
  chunk.set_time(Column::time, times.time);
  if (times.start != 0) chunk.set_time(Column::start_time, times.start);
  if (times.end != 0) chunk.set_time(Column::end_time, times.end);
  if (times.received != 0) chunk.set_time(Column::received_time, times.received);
  write_endpoints(flow, chunk);
  write_counters(flow, decisions, chunk);
  write_observer(flow, decisions, chunk);
  for (const Number& number : kNumbers) {
    if (const uint64_t v = flow[number.slot]; v != 0) chunk.set_number(number.column, v);
  }
  for (const Number& number : kBigNumbers) {
    if (const uint64_t v = flow[number.slot]; v != 0) chunk.set_big_number(number.column, v);
  }
  for (const Address& address : kAddresses) {
    const std::string_view octets = flow[address.slot];
    if (is_address(octets) && is_not_zero(octets)) chunk.set_address(address.column, uuid_of(octets));
  }
  // What the exporter does not say of an AS, a database may.
  if (decisions.src != nullptr && flow[N::src_as] == 0 && decisions.src->as_number != 0) {
    chunk.set_big_number(Column::src_as, decisions.src->as_number);
  }
  if (decisions.dst != nullptr && flow[N::dst_as] == 0 && decisions.dst->as_number != 0) {
    chunk.set_big_number(Column::dst_as, decisions.dst->as_number);
  }
  write_texts(flow, decisions, chunk);
  write_lists(flow, decisions, chunk);
  chunk.end_row();
}

void RowWriter::write_texts(const FlowView& flow, const transform::Decisions& decisions, RowChunk& chunk) {
  write_facts(decisions, chunk);
  bool is_named_by_rule = false;
  for (const OwnTarget& own : own_targets_) {
    if (!decisions.outcome->has(own.place)) continue;
    const rules::Cell& cell = decisions.outcome->targets[own.place];
    write_own_target(cell, own.column, chunk);
    is_named_by_rule |= own.column == Column::app && !cell.text.empty();
  }
  // That, too, goes before what only the ports say.
  const bool is_said = !flow[O::application_name].empty() || !decisions.text(EventTarget::app_name).empty();
  const std::string_view app = is_said || !is_named_by_rule ? transform::application_of(flow, decisions) : std::string_view();
  if (!app.empty()) chunk.set_text(Column::app, app);
  for (const Address& text : kTexts) {
    if (!flow[text.slot].empty()) chunk.set_text(text.column, flow[text.slot]);
  }
  bool is_cut = false;
  const size_t octets = transform::write_remainder(flow, decisions, targets_elsewhere_,
                                                   {remainder_.get(), transform::kEventOctetsMax}, is_cut);
  if (octets != 0) chunk.set_text(Column::remainder, {remainder_.get(), octets});
  remainders_cut_ += is_cut ? 1 : 0;
}

void RowWriter::write_own_target(const rules::Cell& cell, Column column, RowChunk& chunk) {
  if (column == Column::threat_matched) {
    if (cell.kind == rules::CellKind::boolean) chunk.set_truth(column, cell.boolean);
    return;
  }
  if (cell.kind != rules::CellKind::text || cell.text.empty()) return;
  if (column != Column::src_tags && column != Column::dst_tags) return chunk.set_text(column, cell.text);
  for (std::string_view rest = cell.text; !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    if (comma != 0) chunk.add_text(column, rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
}

}  // namespace weir::store
