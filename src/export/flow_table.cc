// flow_table.cc — FlowTable: flows in columns.
#include <ctime>

#include "export/json_lines.h"
#include "export/protocol_names.h"
#include "export/text_buffer.h"

namespace weir::outbound {
namespace {

enum class Align : uint8_t { left, right };

/// Puts columns side by side, two spaces apart.
class Row {
 public:
  explicit Row(std::string& out) : out_(out) {}

  template <class PutValue>
  void column(size_t width, Align align, PutValue&& put_value) {
    if (!first_) out_.put("  ");
    first_ = false;
    cell_.clear();
    {
      TextBuffer cell(cell_);
      put_value(cell);
    }
    const size_t missing = cell_.size() < width ? width - cell_.size() : 0;
    if (align == Align::right) put_spaces(missing);
    out_.put(cell_);
    if (align == Align::left) put_spaces(missing);
  }
  void end() { out_.put('\n'); }

 private:
  void put_spaces(size_t n) {
    while (n-- > 0) out_.put(' ');
  }

  TextBuffer out_;
  std::string cell_;
  bool first_ = true;
};

constexpr size_t kTimeWidth = 23, kAddressWidth = 15, kProtocolWidth = 9;
constexpr size_t kCountWidth = 10, kInterfaceWidth = 6, kSamplingWidth = 8;

void put_padded(TextBuffer& out, uint64_t v, size_t digits) {
  uint64_t limit = 1;
  for (size_t i = 1; i < digits; ++i) limit *= 10;
  for (; limit > 1 && v < limit; limit /= 10) out.put('0');
  out.put_number(v);
}

/// UTC, to the millisecond.
void put_time(TextBuffer& out, uint64_t ns) {
  const auto seconds = static_cast<time_t>(ns / 1'000'000'000);
  tm t{};
  if (gmtime_r(&seconds, &t) == nullptr) return out.put_number(ns);
  put_padded(out, static_cast<uint64_t>(t.tm_year) + 1900, 4);
  out.put('-');
  put_padded(out, static_cast<uint64_t>(t.tm_mon) + 1, 2);
  out.put('-');
  put_padded(out, static_cast<uint64_t>(t.tm_mday), 2);
  out.put(' ');
  put_padded(out, static_cast<uint64_t>(t.tm_hour), 2);
  out.put(':');
  put_padded(out, static_cast<uint64_t>(t.tm_min), 2);
  out.put(':');
  put_padded(out, static_cast<uint64_t>(t.tm_sec), 2);
  out.put('.');
  put_padded(out, ns / 1'000'000 % 1000, 3);
}

void put_protocol(TextBuffer& out, uint32_t proto) {
  const std::string_view name =
      proto < 256 ? protocol_name(static_cast<uint8_t>(proto)) : std::string_view();
  if (name.empty()) return out.put_number(proto);
  out.put(name);
}

/// 192.0.2.1:443, [2001:db8::1]:443
void put_endpoint(TextBuffer& out, std::string_view address, uint32_t port) {
  if (address.empty()) {
    out.put('-');
  } else if (address.size() == 16) {
    out.put('[');
    out.put_address(address);
    out.put(']');
  } else {
    out.put_address(address);
  }
  out.put(':');
  out.put_number(port);
}

}  // namespace

void FlowTable::append_heading(std::string& out) {
  Row row(out);
  const auto heading = [&](size_t width, Align align, std::string_view text) {
    row.column(width, align, [&](TextBuffer& cell) { cell.put(text); });
  };
  heading(kTimeWidth, Align::left, "TIME (UTC)");
  heading(kAddressWidth, Align::left, "EXPORTER");
  heading(kProtocolWidth, Align::left, "PROTOCOL");
  heading(kCountWidth, Align::right, "BYTES");
  heading(kCountWidth, Align::right, "PACKETS");
  heading(kInterfaceWidth, Align::right, "IN IF");
  heading(kInterfaceWidth, Align::right, "OUT IF");
  heading(kSamplingWidth, Align::right, "SAMPLING");
  // Last, because IPv6 endpoints are as long as they are.
  heading(0, Align::left, "SOURCE -> DESTINATION");
  row.end();
}

void FlowTable::append_row(const flowpb::FlowMessage& flow, std::string& out) {
  Row row(out);
  const auto number = [&](size_t width, uint64_t v) {
    row.column(width, Align::right, [&](TextBuffer& cell) { cell.put_number(v); });
  };
  row.column(kTimeWidth, Align::left, [&](TextBuffer& cell) {
    put_time(cell,
             flow.time_flow_end_ns() != 0 ? flow.time_flow_end_ns() : flow.time_received_ns());
  });
  row.column(kAddressWidth, Align::left,
             [&](TextBuffer& cell) { cell.put_address(flow.sampler_address()); });
  row.column(kProtocolWidth, Align::left,
             [&](TextBuffer& cell) { put_protocol(cell, flow.proto()); });
  number(kCountWidth, flow.bytes());
  number(kCountWidth, flow.packets());
  number(kInterfaceWidth, flow.in_if());
  number(kInterfaceWidth, flow.out_if());
  number(kSamplingWidth, flow.sampling_rate());
  row.column(0, Align::left, [&](TextBuffer& cell) {
    put_endpoint(cell, flow.src_addr(), flow.src_port());
    cell.put(" -> ");
    put_endpoint(cell, flow.dst_addr(), flow.dst_port());
  });
  row.end();
}

}  // namespace weir::outbound
