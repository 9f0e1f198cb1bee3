// Which keys there are, what each may hold, and what it means: the table behind reading, `weir-etl check-config` and the
// documentation.
#include "etl/config.h"

namespace weir::etl {
namespace {

using service::named_choice;
using service::Schema;
using service::size;

const Schema<EventsConfig>& events_schema() {
  using C = EventsConfig;
  static const auto schema =
      Schema<C>()
          .key("subject", &C::subject, feed::plain_subject(), "Where events are published.")
          .key("framing", &C::framing, named_choice<EventFraming>(),
               "json: the events of a message as lines of one. single: each a message.")
          .key("compression", &C::compression, named_choice<outbound::Compression>(), "Of messages with events.")
          .key("batch_bytes", &C::batch_bytes, size<uint32_t>(16 << 10, 16u << 20),
               "The largest message of framing json, before it is compressed; the server's max_payload bounds it.")
          .key("buffer_bytes", &C::buffer_bytes, size<uint64_t>(4 << 20, 1ull << 36),
               "Memory for events that are not acknowledged yet.")
          .object("stream", &C::stream, feed::stream_schema(), "Where they are kept.");
  return schema;
}

const Schema<DecisionsConfig>& decisions_schema() {
  using C = DecisionsConfig;
  static const auto schema =
      Schema<C>()
          .key("subject", &C::subject, feed::plain_subject(), "Where they are published; not where events are.")
          .object("stream", &C::stream, feed::stream_schema(), "Where they are kept; looked at, and created, where rules name a decision file.");
  return schema;
}

constexpr int32_t kOffsetMinutesMax = 18 * 60;  // OCSF's

service::ValueType<int32_t> minutes_of_offset() {
  return {fmt::format("minutes from -{0} to {0}", kOffsetMinutesMax),
          [](std::string_view text) -> std::optional<int32_t> {
            const bool is_behind = text.starts_with('-');
            const auto minutes = service::parse_decimal(text.substr(is_behind ? 1 : 0));
            if (!minutes || *minutes > uint64_t{kOffsetMinutesMax}) return std::nullopt;
            return is_behind ? -static_cast<int32_t>(*minutes) : static_cast<int32_t>(*minutes);
          },
          [](const int32_t& minutes) { return std::to_string(minutes); },
          {}};
}

const Schema<OcsfConfig>& ocsf_schema() {
  using C = OcsfConfig;
  static const auto schema =
      Schema<C>()
          .key("product_name", &C::product_name, service::any_text(), "metadata.product.name.")
          .key("product_vendor", &C::product_vendor, service::any_text(), "metadata.product.vendor_name; empty: left out.")
          .key("cloud_provider", &C::cloud_provider, service::any_text(), "cloud.provider.")
          .key("timezone_offset", &C::timezone_offset, minutes_of_offset(),
               "timezone_offset: minutes that the producer's clocks are ahead of UTC. Times are in UTC whatever it says.")
          .key("community_id", &C::community_id, service::boolean(),
               "Events have the Community ID of their connection, as Zeek's and Suricata's have; false: an eighth of an event's time less.")
          .key("observables", &C::observables, service::boolean(), "Events list their addresses once more as observables.");
  return schema;
}

}  // namespace

const Schema<EtlConfig>& etl_schema() {
  using C = EtlConfig;
  static const auto schema = [] {
    Schema<C> all;
    feed::add_source_keys(all);
    all.key("rules", &C::rules, service::any_text(),
            "File of rules (docs/RULES.md), or a folder of such; read anew when it is written (watch_files_secs), and at a reload. Empty: none, each flow becomes an event.")
        .object("enrichment", &C::enrichment, feed::enrichment_schema(),
                "What is known of addresses (docs/ENRICHMENT.md); files are read anew likewise.")
        .object("names", &C::names, feed::names_schema(), "Names of exporters, interfaces, VRFs and applications, which the collector publishes.")
        .object("ocsf", &C::ocsf, ocsf_schema(), "What all events say.")
        .object("events", &C::events, events_schema(), "Where events go.")
        .object("decisions", &C::decisions, decisions_schema(),
                "Where results of a decision file go (docs/RULES.md), divided and packed as events are.");
    feed::add_operation_keys(all, {"what no event can be made of", kProgram});
    return all;
  }();
  return schema;
}

}  // namespace weir::etl
