#include "classify/payload_names.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"

namespace weir::classify {
namespace {

using Octets = std::span<const uint8_t>;
constexpr uint8_t kTcp = 6;

/// Octets one after the other; beyond the end it gives zeros and nothing, and says so.
class Reader {
 public:
  explicit Reader(Octets octets) noexcept : rest_(octets) {}
  bool ok() const noexcept { return ok_; }
  bool at_end() const noexcept { return rest_.empty(); }
  size_t left() const noexcept { return rest_.size(); }
  Octets take(size_t n) noexcept {
    if (n > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const Octets taken = rest_.first(n);
    rest_ = rest_.subspan(n);
    return taken;
  }
  /// As much as there is of what is said to have so many octets.
  Octets take_some(size_t n) noexcept { return take(std::min(n, rest_.size())); }
  uint8_t u8() noexcept {
    const Octets o = take(1);
    return o.empty() ? 0 : o[0];
  }
  uint16_t u16() noexcept {
    const Octets o = take(2);
    return o.empty() ? 0 : load_be16(o.data());
  }

 private:
  Octets rest_;
  bool ok_ = true;
};

char lower(uint8_t c) noexcept { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); }

bool add(Octets octets, ExtractedName& to) noexcept {
  if (octets.size() > kNameOctetsMax - to.size) return false;
  for (const uint8_t c : octets) {
    if (c <= ' ' || c > '~') return false;
    to.octets[to.size++] = lower(c);
  }
  return true;
}

/// A dot behind a name says that nothing follows: with it or without, it is the same name.
void set(Octets octets, ExtractedName& to) noexcept {
  if (!octets.empty() && octets.back() == '.') octets = octets.first(octets.size() - 1);
  if (octets.empty() || !add(octets, to)) to.size = 0;
}

bool is_same(Octets octets, std::string_view lower_text) noexcept {
  return octets.size() == lower_text.size() &&
         std::equal(octets.begin(), octets.end(), lower_text.begin(), [](uint8_t a, char b) { return lower(a) == b; });
}

/// The first octet that is `wanted`; the size where there is none.
size_t place_of(char wanted, Octets octets) noexcept {
  const void* const at = octets.empty() ? nullptr : std::memchr(octets.data(), wanted, octets.size());
  return at == nullptr ? octets.size() : static_cast<size_t>(static_cast<const uint8_t*>(at) - octets.data());
}

constexpr std::string_view kMethods[] = {"get", "post", "head", "put", "delete", "connect", "options", "patch", "trace"};

}  // namespace

void read_tls_name(Octets payload, ExtractedName& to) noexcept {
  constexpr uint8_t kHandshake = 22, kClientHello = 1, kHostName = 0;
  constexpr uint16_t kServerName = 0;
  constexpr size_t kRandomOctets = 32;
  to.size = 0;
  Reader record(payload);
  if (record.u8() != kHandshake || record.u8() != 3) return;
  record.u8();
  Reader hello(record.take_some(record.u16()));
  if (hello.u8() != kClientHello) return;
  hello.take(3);  // its length: what is there says how much is there
  hello.take(2 + kRandomOctets);
  hello.take(hello.u8());   // session
  hello.take(hello.u16());  // cipher suites
  hello.take(hello.u8());   // compression methods
  if (!hello.ok()) return;
  Reader extensions(hello.take_some(hello.u16()));
  while (extensions.left() >= 4) {
    const uint16_t type = extensions.u16();
    Reader body(extensions.take(extensions.u16()));
    if (!extensions.ok()) return;
    if (type != kServerName) continue;
    body.u16();  // of the list
    while (body.left() >= 3) {
      const uint8_t kind = body.u8();
      const Octets name = body.take(body.u16());
      if (kind == kHostName) return set(name, to);
    }
    return;
  }
}

void read_http_name(Octets payload, ExtractedName& to) noexcept {
  constexpr std::string_view kHost = "host";
  to.size = 0;
  to.method = {};
  const auto space = std::find(payload.begin(), payload.end(), uint8_t{' '});
  const Octets method = payload.first(static_cast<size_t>(space - payload.begin()));
  for (const std::string_view known : kMethods) {
    if (is_same(method, known)) to.method = known;
  }
  if (to.method.empty()) return;
  for (;;) {
    const size_t end = place_of('\n', payload);
    if (end == payload.size()) return;  // also a Host that is cut off
    payload = payload.subspan(end + 1);
    const size_t next_end = place_of('\n', payload);
    Octets line = payload.first(next_end);
    if (line.empty() || line[0] == '\r') return;  // the header is over
    const auto colon = std::find(line.begin(), line.end(), uint8_t{':'});
    if (colon == line.end() || !is_same(line.first(static_cast<size_t>(colon - line.begin())), kHost)) continue;
    if (next_end == payload.size()) return;
    line = line.subspan(static_cast<size_t>(colon - line.begin()) + 1);
    const auto is_blank = [](uint8_t c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!line.empty() && is_blank(line.front())) line = line.subspan(1);
    while (!line.empty() && is_blank(line.back())) line = line.first(line.size() - 1);
    // A port is not the name's; in brackets there may be an IPv6 address.
    const auto bracket = std::find(line.begin(), line.end(), uint8_t{']'});
    const auto port = std::find(bracket == line.end() ? line.begin() : bracket, line.end(), uint8_t{':'});
    return set(line.first(static_cast<size_t>(port - line.begin())), to);
  }
}

void read_dns_name(Octets message, ExtractedName& to) noexcept {
  constexpr size_t kAfterCounts = 6;
  constexpr uint8_t kLabelMax = 63;  // above it: pointers, which a first question cannot have
  static constexpr uint8_t kDot[] = {'.'};
  to.size = 0;
  Reader in(message);
  in.take(4);  // id, flags
  const uint16_t questions = in.u16();
  in.take(kAfterCounts);
  if (!in.ok() || questions == 0) return;
  for (;;) {
    const uint8_t length = in.u8();
    if (!in.ok() || length > kLabelMax) break;
    if (length == 0) return;  // the root's own name stays empty
    const Octets label = in.take(length);
    // A label may have a dot of its own, which a text could not tell from those between them.
    if (!in.ok() || place_of('.', label) != label.size() || (to.size != 0 && !add(kDot, to)) || !add(label, to)) break;
  }
  to.size = 0;
}

void extract(Extract what, Octets payload, uint8_t proto, ExtractedName& to) noexcept {
  switch (what) {
    case Extract::tls: return read_tls_name(payload, to);
    case Extract::http: return read_http_name(payload, to);
    case Extract::dns: return read_dns_name(proto == kTcp ? payload.subspan(std::min<size_t>(2, payload.size())) : payload, to);
    case Extract::none:
    case Extract::count_: return;
  }
}

}  // namespace weir::classify
