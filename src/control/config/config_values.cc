#include "control/config/config_values.h"

#include <net/if.h>

#include <charconv>

#include "control/config/config_check.h"
#include "export/addressing.h"
#include "export/jetstream_stream.h"

namespace weir::control {

using service::choice;
using service::text_where;
using service::ValueType;

ValueType<decode::ProtocolFilter> protocol_type() {
  using decode::ProtocolFilter;
  return choice<ProtocolFilter>({{"any", ProtocolFilter::any},
                                 {"netflow", ProtocolFilter::netflow},
                                 {"ipfix", ProtocolFilter::ipfix},
                                 {"sflow", ProtocolFilter::sflow}});
}

ValueType<IpAddress> ip_address() {
  return {"an IPv4 or IPv6 address; :: is every address of both",
          [](std::string_view text) { return IpAddress::parse(text); },
          [](const IpAddress& address) { return address.to_string(); },
          {}};
}

ValueType<SocketAddress> udp_address() {
  return {"an address and a port, such as 0.0.0.0:2055 or [::]:2055",
          [](std::string_view text) -> std::optional<SocketAddress> {
            const auto address = SocketAddress::parse(text);
            return address && address->port != 0 ? address : std::nullopt;
          },
          [](const SocketAddress& address) { return address.to_string(); },
          {}};
}

ValueType<AddressPrefix> address_prefix() {
  return {"an address or a prefix, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
          [](std::string_view text) { return AddressPrefix::parse(text); },
          [](const AddressPrefix& prefix) { return prefix.to_string(); },
          {}};
}

ValueType<dataplane::InterfaceAddress> interface_address() {
  return {"an address with the prefix length of its network, such as 192.0.2.2/24 or 2001:db8::2/64",
          [](std::string_view text) { return parse_interface_address(text); },
          [](const dataplane::InterfaceAddress& a) {
            return fmt::format("{}/{}", a.address.to_string(), a.prefix_bits);
          },
          {}};
}

ValueType<std::string> interface_name() {
  return text_where("a name of letters, digits, ., - and _, at most 15 (not . or ..), or nothing", [](std::string_view text) {
    return text.empty() ||
           (text.size() < IFNAMSIZ && text != "." && text != ".." &&
            text.find_first_not_of(
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == std::string_view::npos);
  });
}

bool is_subject_template(std::string_view text) {
  std::string plain(text);
  for (const std::string_view name : {"{protocol}", "{exporter}", "{partition}"}) {
    for (size_t at; (at = plain.find(name)) != std::string::npos;) {
      plain.erase(at + 1, name.size() - 1);
      plain[at] = 'x';
    }
  }
  return is_subject(plain, "");
}

namespace {

/// Of records that are no flows: never where readers of flows look.
bool is_subject_beside_flows(std::string_view text) {
  return is_subject_template(text) && !outbound::overlap(outbound::stream_pattern(text), "flows.raw.>");
}

}  // namespace

ValueType<std::string> subject_or_nothing() {
  return text_where(
      "a NATS subject without wildcards that is not under flows.raw., or nothing",
      [](std::string_view text) { return text.empty() || is_subject_beside_flows(text); });
}

bool is_topic_pattern(std::string_view text) {
  constexpr std::string_view kSubject = "{subject}";
  constexpr size_t kTopicOctetsMax = 249;
  if (text.empty() || text.size() > kTopicOctetsMax || text == "." || text == "..") return false;
  while (!text.empty()) {
    if (text.starts_with(kSubject)) {
      text.remove_prefix(kSubject.size());
      continue;
    }
    if (!is_name(text.substr(0, 1)) && text.front() != '.') return false;
    text.remove_prefix(1);
  }
  return true;
}

std::optional<AddressPrefix> AddressPrefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, std::min(slash, text.size())));
  if (!address) return std::nullopt;
  AddressPrefix prefix{*address, 128};
  if (slash == std::string_view::npos) return prefix;
  const std::string_view bits = text.substr(slash + 1);
  const unsigned bits_max = address->is_v4() ? 32 : 128;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), value);
  if (bits.empty() || error != std::errc{} || end != bits.data() + bits.size() ||
      value > bits_max) {
    return std::nullopt;
  }
  prefix.bits = static_cast<uint8_t>(128 - bits_max + value);
  // What lies behind the prefix would be a mistake.
  for (unsigned bit = prefix.bits; bit < 128; ++bit) {
    if ((prefix.address.octets[bit / 8] >> (7 - bit % 8) & 1) != 0) return std::nullopt;
  }
  return prefix;
}

std::optional<dataplane::InterfaceAddress> parse_interface_address(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = IpAddress::parse(text.substr(0, slash));
  const auto bits = service::parse_decimal(text.substr(slash + 1));
  if (!address || address->is_unspecified() || !bits || *bits < 1 || *bits > (address->is_v4() ? 32 : 128))
    return std::nullopt;
  return dataplane::InterfaceAddress{*address, static_cast<uint8_t>(*bits)};
}

std::string AddressPrefix::to_string() const {
  const unsigned offset = address.is_v4() ? 96 : 0;
  return bits == 128 ? address.to_string()
                     : fmt::format("{}/{}", address.to_string(), bits - offset);
}

std::string protocol_word(decode::ProtocolFilter filter) { return protocol_type().print(filter); }

std::string_view name_of(PublisherKind kind) noexcept {
  switch (kind) {
    case PublisherKind::jetstream: return "jetstream";
    case PublisherKind::standard_output: return "stdout";
    case PublisherKind::file: return "file";
    case PublisherKind::http: return "http";
    case PublisherKind::kafka: return "kafka";
    case PublisherKind::discard: return "discard";
  }
  return "invalid";
}

}  // namespace weir::control
