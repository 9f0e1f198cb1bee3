#include "export/addressing.h"

#include <algorithm>

namespace weir::outbound {
namespace {

constexpr std::string_view kProtocol = "{protocol}";
constexpr std::string_view kExporter = "{exporter}";

bool has(std::string_view text, std::string_view part) noexcept {
  return text.find(part) != std::string_view::npos;
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
}

}  // namespace

std::string_view protocol_token(FlowType type) noexcept {
  switch (type) {
    case FlowType::netflow_v1: return "netflow_v1";
    case FlowType::netflow_v5: return "netflow_v5";
    case FlowType::netflow_v7: return "netflow_v7";
    case FlowType::netflow_v9: return "netflow_v9";
    case FlowType::ipfix: return "ipfix";
    case FlowType::sflow_2:
    case FlowType::sflow_4:
    case FlowType::sflow_5: return "sflow";
    case FlowType::unknown: break;
  }
  return "unknown";
}

std::string address_token(const IpAddress& address) {
  std::string token = address.to_string();
  std::replace_if(
      token.begin(), token.end(), [](char c) { return c == '.' || c == ':'; }, '-');
  return token;
}

RouteSplit split_of(std::string_view subject) noexcept {
  return {has(subject, kProtocol), has(subject, kExporter)};
}

std::string stream_pattern(std::string_view subject) {
  std::string pattern;
  for (size_t at = 0;;) {
    const size_t dot = std::min(subject.find('.', at), subject.size());
    const std::string_view token = subject.substr(at, dot - at);
    pattern += has(token, kProtocol) || has(token, kExporter) ? "*" : token;
    if (dot == subject.size()) return pattern;
    pattern += '.';
    at = dot + 1;
  }
}

std::string Addressing::pattern_of(const OutboundBatch& batch) const {
  const auto list = subjects_.read();
  return (*list)[std::min<size_t>(batch.route.value, list->size() - 1)];
}

std::string Addressing::subject_of(const OutboundBatch& batch) const {
  if (batch.replayed_as != nullptr) return batch.replayed_as->subject;
  std::string subject = pattern_of(batch);
  if (!has(subject, "{")) return subject;
  replace_all(subject, kProtocol, protocol_token(batch.type));
  replace_all(subject, kExporter, address_token(batch.exporter));
  return subject;
}

std::string Addressing::id_of(const OutboundBatch& batch) const {
  if (batch.replayed_as != nullptr) return batch.replayed_as->id;
  return identity_.appliance_uuid + '.' + std::to_string(identity_.start_ns) + '.' +
         std::to_string(batch.core) + '.' + std::to_string(batch.sequence);
}

}  // namespace weir::outbound
