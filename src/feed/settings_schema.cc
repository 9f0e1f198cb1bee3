// Which keys those are, what each may hold, and what it means.
#include <fmt/format.h>

#include "base/printable.h"
#include "base/socket_address.h"
#include "feed/settings.h"
#include "service/common_values.h"

namespace weir::feed {

using service::choice;
using service::duration;
using service::integer;
using service::name_text;
using service::named_choice;
using service::Schema;
using service::size;
using service::text_where;

namespace {

constexpr uint64_t kSec = 1'000'000'000;

const Schema<TlsFilesConfig>& tls_files_schema() {
  using C = TlsFilesConfig;
  static const auto schema =
      Schema<C>()
          .key("cert_file", &C::cert_file, service::any_text(),
               "Of mtls: our certificate (PEM), and behind it what leads to its CA.")
          .key("key_file", &C::key_file, service::any_text(), "Of mtls: its private key (PEM), without a passphrase.")
          .key("ca_file", &C::ca_file, service::any_text(),
               "The CAs (PEM) of which one must have issued the server's certificate; empty: those that the system trusts.");
  return schema;
}

const Schema<InputConfig>& input_schema() {
  using C = InputConfig;
  static const auto schema =
      Schema<C>()
          .key("subject", &C::subject,
               text_where("a NATS subject; * and > are allowed",
                          [](std::string_view text) { return service::is_subject(text, "*>"); }),
               "A durable consumer of its own takes it.")
          .key("framing", &C::framing, service::optional_of(named_choice<outbound::Framing>(), "auto"),
               "How records lie in messages that do not say so in their headers; auto: as they look, a batch or a single "
               "record.");
  return schema;
}

}  // namespace

service::ValueType<std::string> plain_subject() {
  return text_where("a NATS subject without wildcards",
                    [](std::string_view text) { return service::is_subject(text, ""); });
}

const Schema<enrich::EnrichConfig>& enrichment_schema() {
  using C = enrich::EnrichConfig;
  static const auto schema =
      Schema<C>()
          .list("databases", &C::databases, service::any_text(),
                "Databases in MaxMind's format (country, city, ASN); of two that know the same the first goes.")
          .list("cloud", &C::cloud, service::any_text(), "Files of lines `prefix,provider`: whose clouds addresses are in.")
          .list("threats", &C::threats, service::any_text(), "Files of lines `prefix,name`: what is known of bad addresses.")
          .key("applications", &C::applications, service::any_text(),
               "File of lines `name,protocol,ports,prefix`: what applications are called; empty: none.")
          .list("mac_vendors", &C::mac_vendors, service::any_text(),
                "The IEEE's registries MA-L, MA-M and MA-S (CSV), or Wireshark's manuf: who made interfaces.");
  return schema;
}

std::string describe(const enrich::EnrichConfig& enrichment) {
  if (enrichment.empty()) return "  no enrichment: of addresses nothing is known\n";
  std::string out;
  const auto add = [&out](const char* what, const std::string& file) { out += fmt::format("  enrichment: {} {}\n", what, printable(file)); };
  for (const std::string& file : enrichment.databases) add("database", file);
  for (const std::string& file : enrichment.cloud) add("list of clouds", file);
  for (const std::string& file : enrichment.threats) add("list of threats", file);
  if (!enrichment.applications.empty()) add("names of applications", enrichment.applications);
  for (const std::string& file : enrichment.mac_vendors) add("makers by MAC address", file);
  return out;
}

const Schema<NamesConfig>& names_schema() {
  using C = NamesConfig;
  static const auto schema =
      Schema<C>()
          .key("stream_name", &C::stream_name,
               text_where("a stream's name; empty: none",
                          [](std::string_view text) { return text.empty() || service::is_name(text); }),
               "The collector's exporter_info.stream_name; empty: names are not joined.")
          .key("subject", &C::subject,
               text_where("a NATS subject; * and > are allowed",
                          [](std::string_view text) { return service::is_subject(text, "*>"); }),
               "What of it is read.");
  return schema;
}

const Schema<StreamSettings>& stream_schema() {
  using C = StreamSettings;
  static const auto schema =
      Schema<C>()
          .key("name", &C::name, name_text(), "The stream; created if absent. The rest is of one that is created.")
          .key("max_bytes", &C::max_bytes, size<uint64_t>(1 << 10, 1ull << 50), "How large it grows before the oldest goes.")
          .key("max_age_secs", &C::max_age_secs, duration<uint32_t>(kSec, 0, UINT32_MAX),
               "How old its messages grow; 0: no limit.")
          .key("replicas", &C::replicas, integer<uint32_t>(1, 5), "On how many servers it is kept.")
          .key("storage", &C::storage, named_choice<outbound::StreamStorage>(), "Where it is kept.")
          .key("duplicate_window_secs", &C::duplicate_window_secs, duration<uint32_t>(kSec, 1, 86'400),
               "How long it knows a message by its id. Longer than source.ack_wait_secs, so that what an instance that died had "
               "published already is not stored twice.");
  return schema;
}

namespace detail {

service::ValueType<std::string> nats_urls() {
  return text_where("nats:// or tls://[user:password@]host[:port] with a port from 1 to 65535, several with commas",
                    service::is_nats_url_list);
}

service::ValueType<std::string> socket_address_or_none() {
  return text_where("an address and a port, such as 0.0.0.0:50047; empty: none",
                    [](std::string_view text) { return text.empty() || SocketAddress::parse(text); });
}

const Schema<SecurityConfig>& security_schema() {
  using C = SecurityConfig;
  static const auto schema =
      Schema<C>()
          .key("mode", &C::mode, named_choice<SecurityMode>(),
               "none: TLS only if the server demands it. tls: never without; the server's certificate is verified. mtls: the "
               "same, and we show ours.")
          .key("cert_dir", &C::cert_dir, service::any_text(), "Where the files of tls lie whose names do not begin with /.")
          .key("server_name", &C::server_name, service::any_text(),
               "The name that the server's certificate must have; empty: the host of nats_url.")
          .object("tls", &C::tls, tls_files_schema(), "Files. One that is replaced is taken without a restart.");
  return schema;
}

const Schema<SourceConfig>& source_schema() {
  using C = SourceConfig;
  static const auto schema =
      Schema<C>()
          .key("stream_name", &C::stream_name, name_text(), "The stream that the collector publishes to.")
          .key("consumer", &C::consumer, name_text(),
               "What the consumers' names begin with. Instances with the same share the work.")
          .objects("subjects", &C::subjects, input_schema(), "What is consumed; flows.raw.* by default.")
          .key("start", &C::start, choice<StartAt>({{"all", StartAt::all}, {"new", StartAt::new_only}}),
               "Of a consumer that is made: with everything that the stream has, or with what comes from now on.")
          .key("ack_wait_secs", &C::ack_wait_secs, duration<uint32_t>(kSec, 1, 3600),
               "A message that an instance has taken and not finished goes to another after it. Who is still at work says so "
               "three times in it.")
          .key("max_ack_pending", &C::max_ack_pending, integer<uint32_t>(1, 1'000'000),
               "Messages that all instances together may have in hand.")
          .key("messages_in_hand", &C::messages_in_hand, integer<uint32_t>(1, 65'536),
               "Messages that this one may have in hand.")
          .key("octets_in_hand", &C::octets_in_hand, size<uint64_t>(1 << 20, 1ull << 34), "Octets that it asks for at once.");
  return schema;
}

service::Schema<DeadConfig> dead_schema(const FeedWords& words) {
  using C = DeadConfig;
  return Schema<C>()
      .key("subject_prefix", &C::subject_prefix, plain_subject(),
           fmt::format("The subject of {}; the reason follows.", words.made_of_flows))
      .object("stream", &C::stream, stream_schema(), "Where that is kept.");
}

service::Schema<ControlSocketConfig> control_socket_schema(const FeedWords& words) {
  using C = ControlSocketConfig;
  return Schema<C>()
          .key("path", &C::path, service::any_text(), "The unix socket of the REST interface and weirctl; empty: none.")
          .key("mode", &C::mode, service::file_mode(), "Its file mode: who may connect.")
          .key("group", &C::group, service::any_text(),
               "The group it belongs to, whose members may read; empty: the process's own, and whoever may connect.")
          .key("admin_group", &C::admin_group, service::any_text(),
               "The group whose members may change something too (weirctl reload, log-level); root and who runs " + words.program +
               " always may.");
}

const Schema<service::LogConfig>& log_schema() {
  using service::LogConfig;
  static const auto schema =
      Schema<LogConfig>()
          .key("level", &LogConfig::level, named_choice<service::LogLevel>(), "The least important messages that are written.")
          .key("format", &LogConfig::format, named_choice<service::LogFormat>(),
               "text for people, json for log collectors; both on standard error.");
  return schema;
}

}  // namespace detail

}  // namespace weir::feed
