#include "transform/ocsf_event.h"

#include <cstdlib>

#include "base/clock.h"
#include "base/version.h"
#include "flow/enumerator_names.h"
#include "transform/flow_facts.h"
#include "transform/ocsf_parts.h"

namespace weir::transform {
namespace {

using namespace parts;
using outbound::parts::put_string;

/// What all of a verdict's attributes are, as they stand in the event.
struct VerdictText {
  std::string_view activity;
  std::string_view more;   // status, action and disposition
  bool is_security = false;  // they need the profile
};

#define WEIR_ACTIVITY_(id, name)                                          \
  "\"activity_id\":" #id ",\"activity_name\":\"" name "\",\"type_uid\":4001" \
  "0" #id ",\"type_name\":\"Network Activity: " name "\","
#define WEIR_STATUS_(id, name)      "\"status_id\":" #id ",\"status\":\"" name "\","
#define WEIR_ACTION_(id, name)      "\"action_id\":" #id ",\"action\":\"" name "\","
#define WEIR_DISPOSITION_(id, name) "\"disposition_id\":" #id ",\"disposition\":\"" name "\","
#define WEIR_ALLOWED_               WEIR_ACTION_(1, "Allowed") WEIR_DISPOSITION_(1, "Allowed")
#define WEIR_BLOCKED_ \
  WEIR_STATUS_(2, "Failure") WEIR_ACTION_(2, "Denied") WEIR_DISPOSITION_(2, "Blocked")

VerdictText text_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::traffic:
    case Verdict::count_: break;
    case Verdict::forwarded: return {WEIR_ACTIVITY_(6, "Traffic"), WEIR_STATUS_(1, "Success")};
    case Verdict::dropped:
    case Verdict::firewall_denied: return {WEIR_ACTIVITY_(5, "Refuse"), WEIR_BLOCKED_, true};
    case Verdict::firewall_opened: return {WEIR_ACTIVITY_(1, "Open"), WEIR_ALLOWED_, true};
    case Verdict::firewall_closed: return {WEIR_ACTIVITY_(2, "Close"), WEIR_ALLOWED_, true};
    case Verdict::firewall_alert:
      return {WEIR_ACTIVITY_(6, "Traffic"),
              WEIR_ACTION_(3, "Observed") WEIR_DISPOSITION_(19, "Alert") "\"is_alert\":true,", true};
    case Verdict::firewall_updated: return {WEIR_ACTIVITY_(6, "Traffic"), WEIR_ALLOWED_, true};
    case Verdict::nat_opened:
      return {WEIR_ACTIVITY_(1, "Open"), WEIR_ACTION_(4, "Modified") WEIR_DISPOSITION_(1, "Allowed"), true};
    case Verdict::nat_closed:
      return {WEIR_ACTIVITY_(2, "Close"), WEIR_ACTION_(4, "Modified") WEIR_DISPOSITION_(1, "Allowed"), true};
    case Verdict::nat_exhausted: return {WEIR_ACTIVITY_(4, "Fail"), WEIR_BLOCKED_, true};
    case Verdict::nat_threshold:
      return {"\"activity_id\":99,\"activity_name\":\"NAT Threshold Reached\",\"type_uid\":400199,"
              "\"type_name\":\"Network Activity: Other\",",
              WEIR_ACTION_(3, "Observed") WEIR_DISPOSITION_(17, "Logged"), true};
  }
  return {WEIR_ACTIVITY_(6, "Traffic"), {}};
}

/// When the flow was: its end where that was measured, not where something stands in for it.
struct EventTimes {
  uint64_t start_ms = 0, end_ms = 0, received_ms = 0, time_ms = 0;

  EventTimes(const FlowView& flow, const EventContext& context) noexcept
      : start_ms(flow[NumberSlot::time_flow_start_ns] / kNsPerMs),
        end_ms(flow[NumberSlot::time_flow_end_ns] / kNsPerMs),
        received_ms(flow[NumberSlot::time_received_ns] / kNsPerMs),
        time_ms(has_measured_end(flow) || received_ms == 0 ? end_ms : received_ms) {
    // What says no time at all is as old as the message that it came in, and no older than its event.
    for (const uint64_t other_ms : {start_ms, context.stored_ms, context.processed_ms}) {
      if (time_ms == 0) time_ms = other_ms;
    }
  }
};

void put_times(TextBuffer& out, const FlowView& flow, const EventTimes& times) {
  put_number(out, "\"time\":", times.time_ms);
  const uint64_t start_ns = flow[NumberSlot::time_flow_start_ns];
  const uint64_t end_ns = flow[NumberSlot::time_flow_end_ns];
  if (start_ns != 0) put_number(out, "\"start_time\":", times.start_ms);
  if (end_ns != 0) put_number(out, "\"end_time\":", times.end_ms);
  if (start_ns != 0 && end_ns >= start_ns) put_number(out, "\"duration\":", times.end_ms - times.start_ms);
}

std::string_view log_format_of(uint64_t type) noexcept {
  switch (static_cast<FlowType>(type)) {
    case FlowType::sflow_5: return "sFlow v5";
    case FlowType::sflow_4: return "sFlow v4";
    case FlowType::sflow_2: return "sFlow v2";
    case FlowType::netflow_v1: return "NetFlow v1";
    case FlowType::netflow_v5: return "NetFlow v5";
    case FlowType::netflow_v7: return "NetFlow v7";
    case FlowType::netflow_v9: return "NetFlow v9";
    case FlowType::ipfix: return "IPFIX";
    case FlowType::unknown: break;
  }
  return {};
}

void put_metadata(TextBuffer& out, const FlowView& flow, const EventTimes& times, const EventContext& context,
                  std::string_view constant_part, bool is_security) {
  out.put_long(constant_part);
  out.put(is_security ? "\"profiles\":[\"cloud\",\"host\",\"osint\",\"security_control\"],"
                      : "\"profiles\":[\"cloud\",\"host\",\"osint\"],");
  if (const std::string_view format = log_format_of(flow[NumberSlot::type]); !format.empty()) {
    put_plain(out, "\"log_format\":", format);
  }
  const uint64_t received_ns = flow[NumberSlot::time_received_ns];
  if (received_ns != 0) {
    put_number(out, "\"logged_time\":", times.received_ms);
    if (flow[NumberSlot::time_flow_end_ns] == 0) {
      put_quoted_number(out, "\"original_time\":", received_ns);
    }
  }
  if (context.processed_ms != 0) put_number(out, "\"processed_time\":", context.processed_ms);
  if (const std::string_view exporter = flow[OctetsSlot::sampler_address]; is_address(exporter)) {
    put_address(out, "\"reporter\":{\"ip\":", exporter);
    close_object(out);
  }
  if (!context.message_id.empty()) {
    out.put("\"uid\":");
    put_string(out, context.message_id);
    if (out.overflowed()) return;
    out.last() = '.';  // the closing quote's place
    out.put_number(context.index);
    out.put("\",");
  }
  put_text_if_any(out, "\"tenant_uid\":", context.decisions.text(EventTarget::tenant_uid));
  const rules::Outcome* const outcome = context.decisions.outcome;
  if (flow.has(ListSlot::labels) || (outcome != nullptr && outcome->labels != 0)) {
    const Scope labels(out, "\"labels\":[", ']');
    for_each_octets(flow, ListSlot::labels, [&](std::string_view label) { put_text(out, {}, label); });
    for (size_t i = 0; outcome != nullptr && i < outcome->labels; ++i) put_text(out, {}, outcome->label[i]);
  }
  close_object(out);
}

/// Its number, and its name where it has one.
void put_discard_reason(TextBuffer& out, uint32_t reason) {
  put_quoted_number(out, "\"status_code\":", reason);
  if (const std::string_view name = sflow_drop_reason_name(reason); !name.empty()) put_plain(out, "\"status_detail\":", name);
}

/// The exporter as a device, and where it stands between the flow's ends.
void put_device(TextBuffer& out, const FlowView& flow, const Decisions& decisions) {
  const std::string_view exporter = flow[OctetsSlot::sampler_address];
  if (!is_address(exporter)) return;
  const bool is_firewall = flow[NumberSlot::firewall_event] != 0;
  const bool is_sflow = static_cast<FlowType>(flow[NumberSlot::type]) == FlowType::sflow_5;
  out.put(is_firewall ? "\"device\":{\"type_id\":9,\"type\":\"Firewall\",\"ip\":"
          : is_sflow  ? "\"device\":{\"type_id\":10,\"type\":\"Switch\",\"ip\":"
                      : "\"device\":{\"type_id\":12,\"type\":\"Router\",\"ip\":");
  put_address(out, {}, exporter);
  const std::string_view rules_name = decisions.text(EventTarget::device_name);
  put_text_if_any(out, "\"name\":", rules_name.empty() && decisions.exporter != nullptr ? decisions.exporter->name() : rules_name);
  put_text_if_any(out, "\"hostname\":", decisions.text(EventTarget::device_hostname));
  close_object(out);
  const bool is_source = exporter == flow[OctetsSlot::src_addr];
  const bool is_destination = exporter == flow[OctetsSlot::dst_addr];
  out.put(is_source ? (is_destination ? "\"observation_point_id\":4," : "\"observation_point_id\":1,")
                    : (is_destination ? "\"observation_point_id\":2," : "\"observation_point_id\":3,"));
}

void put_observables(TextBuffer& out, const FlowView& flow) {
  const Scope observables(out, "\"observables\":[", ']');
  const auto put = [&](std::string_view opening, std::string_view octets) {
    if (!is_address(octets)) return;
    out.put(opening);
    outbound::parts::put_quoted_address(out, octets);
    out.put("},");
  };
  put("{\"name\":\"src_endpoint.ip\",\"type_id\":2,\"type\":\"IP Address\",\"value\":", flow[OctetsSlot::src_addr]);
  put("{\"name\":\"dst_endpoint.ip\",\"type_id\":2,\"type\":\"IP Address\",\"value\":", flow[OctetsSlot::dst_addr]);
  put("{\"name\":\"device.ip\",\"type_id\":2,\"type\":\"IP Address\",\"value\":", flow[OctetsSlot::sampler_address]);
}

/// Who began is known where the exporter tells directions apart, and of firewalls, which watch connections.
bool knows_initiator(const FlowView& flow) noexcept {
  return (flow[NumberSlot::bytes_in] | flow[NumberSlot::bytes_out] | flow[NumberSlot::packets_in] |
          flow[NumberSlot::packets_out] | flow[NumberSlot::firewall_event]) != 0;
}

}  // namespace

OcsfWriter::OcsfWriter(const OcsfOptions& options) : community_id_(options.community_id), observables_(options.observables) {
  TextBuffer head(head_);
  head.put("{\"class_uid\":4001,\"class_name\":\"Network Activity\",\"category_uid\":4,"
           "\"category_name\":\"Network Activity\",");
  TextBuffer metadata(metadata_);
  metadata.put("\"metadata\":{\"version\":\"1.7.0\",");
  {
    const Scope product(metadata, "\"product\":{");
    put_text(metadata, "\"name\":", options.product_name);
    if (!options.product_vendor.empty()) put_text(metadata, "\"vendor_name\":", options.product_vendor);
    const std::string ours = std::string(version()) + "+" + std::string(commit());
    put_text(metadata, "\"version\":", options.product_version.empty() ? ours : options.product_version);
  }
  metadata.put("\"log_name\":\"flows\",");
  {
    const Scope list(metadata, "\"transformation_info_list\":[", ']');
    if (!options.rules_name.empty()) {
      const Scope rules(metadata, "{");
      put_text(metadata, "\"name\":", options.rules_name);
      put_text(metadata, "\"uid\":", "sha256:" + options.rules_hash);
    }
    for (const auto& [name, version] : options.data_sets) {
      const Scope data_set(metadata, "{");
      put_text(metadata, "\"name\":", name);
      put_text(metadata, "\"uid\":", version);
    }
  }
  TextBuffer cloud(cloud_);
  {
    const Scope object(cloud, "\"cloud\":{");
    put_text(cloud, "\"provider\":", options.cloud_provider);
  }
  cloud.put(options.timezone_offset_minutes < 0 ? "\"timezone_offset\":-" : "\"timezone_offset\":");
  cloud.put_number(static_cast<uint64_t>(std::abs(options.timezone_offset_minutes)));
  cloud.put(',');
}

size_t OcsfWriter::write(const FlowView& flow, const EventContext& context, std::span<char> out) const noexcept {
  TextBuffer text(out);
  text.put_long(head_);
  const VerdictText verdict = text_of(verdict_of(flow));
  text.put_long(verdict.activity);
  const Decisions& decisions = context.decisions;
  constexpr uint64_t kInformational = 1;
  text.put(severity_members(decisions.number(EventTarget::severity_id, kInformational)));
  const EventTimes times(flow, context);
  put_times(text, flow, times);
  put_metadata(text, flow, times, context, metadata_, verdict.is_security);
  const Inside inside = inside_of(flow, decisions);
  put_endpoints(text, flow, decisions, inside);
  put_connection(text, flow, decisions, inside, community_id_);
  put_traffic(text, flow);
  put_cumulative_traffic(text, flow);
  put_device(text, flow, decisions);
  text.put(knows_initiator(flow) ? "\"is_src_dst_assignment_known\":true," : "\"is_src_dst_assignment_known\":false,");
  text.put(verdict.more);
  if (context.discard_reason) put_discard_reason(text, *context.discard_reason);
  put_text_if_any(text, "\"app_name\":", application_of(flow, decisions));
  put_text_if_any(text, "\"message\":", decisions.text(EventTarget::message));
  if (observables_) put_observables(text, flow);
  text.put_long(cloud_);
  put_enrichments(text, flow, decisions);
  put_unmapped(text, flow, decisions);
  if (text.overflowed()) return 0;
  text.last() = '}';
  return text.used();
}

}  // namespace weir::transform
