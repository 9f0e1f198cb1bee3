#include "bare_netflow_v5.h"

#include <cstring>

#include "base/byte_order.h"
#include "base/clock.h"
#include "export/protocol_names.h"

namespace weir::perf {
namespace {

uint8_t* varint(uint8_t* p, uint64_t v) {
  while (v >= 0x80) {
    *p++ = static_cast<uint8_t>(v | 0x80);
    v >>= 7;
  }
  *p++ = static_cast<uint8_t>(v);
  return p;
}

uint8_t* number(uint8_t* p, uint32_t field, uint64_t v) {
  return v == 0 ? p : varint(varint(p, field << 3), v);
}

uint8_t* octets(uint8_t* p, uint32_t field, const void* data, size_t size) {
  p = varint(varint(p, field << 3 | 2), size);
  std::memcpy(p, data, size);
  return p + size;
}

}  // namespace

size_t bare_netflow_v5(const Datagram& datagram, uint8_t* out) noexcept {
  const uint8_t* h = datagram.payload.data();
  const uint32_t count = load_be16(h + 2);
  const uint64_t export_ns = load_be32(h + 8) * kNsPerSec + load_be32(h + 12);
  const uint64_t boot_ns = export_ns - load_be32(h + 4) * kNsPerMs;
  uint8_t* p = out;
  const uint8_t* r = h + 24;
  for (uint32_t i = 0; i < count; ++i, r += 48) {
    *p++ = 1 << 3 | 2;
    uint8_t* const length = p;
    p += 2;
    p = number(p, 1, 2);
    p = number(p, 110, datagram.received_ns);
    p = number(p, 4, load_be32(h + 16));
    p = octets(p, 11, datagram.source.octets.data() + 12, 4);
    p = number(p, 1006, datagram.source_port);
    p = number(p, 1007, load_be16(h + 20));
    p = octets(p, 1035, "default", 7);
    p = number(p, 111, boot_ns + load_be32(r + 24) * kNsPerMs);
    p = number(p, 112, boot_ns + load_be32(r + 28) * kNsPerMs);
    p = octets(p, 6, r, 4);
    p = octets(p, 7, r + 4, 4);
    p = octets(p, 12, r + 8, 4);
    const uint8_t proto = r[38];
    p = number(p, 30, 0x0800);
    p = number(p, 20, proto);
    const std::string_view name = outbound::protocol_name(proto);
    p = octets(p, 107, name.data(), name.size());
    p = number(p, 9, load_be32(r + 20));
    p = number(p, 10, load_be32(r + 16));
    p = number(p, 3, load_be16(h + 22) & 0x3fff);
    if (proto == 1) {
      p = number(p, 31, r[34]);
      p = number(p, 32, r[35]);
    } else {
      p = number(p, 21, load_be16(r + 32));
      p = number(p, 22, load_be16(r + 34));
    }
    p = number(p, 18, load_be16(r + 12));
    p = number(p, 19, load_be16(r + 14));
    p = number(p, 14, load_be16(r + 40));
    p = number(p, 15, load_be16(r + 42));
    p = number(p, 23, r[39]);
    p = number(p, 26, r[37]);
    p = number(p, 16, r[44]);
    p = number(p, 17, r[45]);
    p = number(p, 1003, 7);  // sampling: the header
    p = number(p, 1004, 1);  // times: uptime
    const auto n = static_cast<size_t>(p - length - 2);
    length[0] = static_cast<uint8_t>(n | 0x80);
    length[1] = static_cast<uint8_t>(n >> 7);
  }
  return static_cast<size_t>(p - out);
}

}  // namespace weir::perf
