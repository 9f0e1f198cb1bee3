// What the broker says of itself, and which broker the appliance goes by.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/clock.h"
#include "control/config/config_security.h"
#include "control/machine/doctor.h"
#include "export/jetstream_stream.h"
#include "service/config_reader.h"

namespace weir::control {
namespace {

using nlohmann::json;
using Diagnosis = std::vector<DoctorFinding>;

constexpr int kAskTimeoutMs = 2000;
// Of an outage that retries must survive without a record being stored twice.
constexpr uint64_t kShortWindowNs = 60 * kNsPerSec;
constexpr std::string_view kDefaultPort = "4222";

/// Whether it can be reached, and whether it takes who asks: each has its command.
std::string reach_advice(const std::vector<std::string>& urls) {
  std::string_view place = urls.empty() ? std::string_view("127.0.0.1") : std::string_view(urls.front());
  if (const size_t scheme = place.find("://"); scheme != std::string_view::npos) place.remove_prefix(scheme + 3);
  if (const size_t at = place.rfind('@'); at != std::string_view::npos) place.remove_prefix(at + 1);
  place = place.substr(0, place.find_first_of("/?"));
  const size_t bracket = place.rfind(']');  // of an IPv6 address
  const size_t colon = place.rfind(':');
  const bool has_port = colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  const std::string_view port = has_port ? place.substr(colon + 1) : kDefaultPort;
  std::string_view host = has_port ? place.substr(0, colon) : place;
  const std::string_view shown_host = host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return fmt::format("nc -vz {} {}; where that answers, credentials or TLS are wrong (nats_url, nats_user, nats_creds_file, "
                     "security): nats --server {}:{} account info",
                     host, port, shown_host, port);
}

}  // namespace

std::vector<DoctorFinding> diagnose_stream(const nlohmann::json& stream, uint64_t payload_max,
                                           const ApplianceConfig& config) {
  Diagnosis out;
  const std::string about = "stream " + config.stream_name;
  const auto number = [&](const char* key) { return stream.value(key, int64_t{0}); };
  const auto word = [&](const char* key) { return stream.value(key, std::string()); };
  const size_t before = out.size();
  const json subjects = stream.value("subjects", json::array());
  for (const std::string& subject : all_stream_subjects(config)) {
    const bool carried = std::any_of(subjects.begin(), subjects.end(), [&](const json& pattern) {
      return pattern.is_string() && outbound::covers(pattern.get<std::string>(), subject);
    });
    if (!carried) {
      out.push_back({about, DoctorGrade::note, fmt::format("does not carry {} yet", subject),
                     "weir adds it when it starts; without leave to do so: nats stream edit " + config.stream_name});
    }
  }
  if (word("storage") == "memory") {
    out.push_back({about, DoctorGrade::warning, "is kept in memory: a restart of the server loses it", "storage cannot be changed: make it anew with stream_storage: file"});
  }
  if (number("max_bytes") <= 0 && number("max_age") <= 0 && word("retention") == "limits") {
    out.push_back({about, DoctorGrade::warning, "has no bound: it grows until the server's disk is full",
                   fmt::format("nats stream edit {} --max-bytes=10GB", config.stream_name)});
  }
  if (word("discard") == "new") {
    out.push_back({about, DoctorGrade::warning, "refuses new messages when it is full",
                   fmt::format("nats stream edit {} --discard=old", config.stream_name)});
  }
  const auto window_ns = static_cast<uint64_t>(std::max<int64_t>(number("duplicate_window"), 0));
  if (window_ns < kShortWindowNs) {
    out.push_back({about, DoctorGrade::warning,
                   fmt::format("knows a message again for {} s only: what is sent again after a longer outage is stored twice",
                               window_ns / kNsPerSec),
                   fmt::format("nats stream edit {} --dupe-window=10m", config.stream_name)});
  }
  const uint64_t message_max = [&] {
    const int64_t of_stream = number("max_msg_size");
    return of_stream > 0 ? std::min(payload_max, static_cast<uint64_t>(of_stream)) : payload_max;
  }();
  if (config.framing == outbound::Framing::batch && message_max != 0 && message_max < config.batch_bytes) {
    out.push_back({about, DoctorGrade::note,
                   fmt::format("takes messages of at most {}; batches of {} are sent in parts", service::print_size(message_max),
                               service::print_size(config.batch_bytes)),
                   "raise max_payload of the server, or lower batch_bytes"});
  }
  if (out.size() == before) {
    out.push_back({about, DoctorGrade::fine,
                   fmt::format("{}, {} replica{}, known again for {} s", word("storage"), number("num_replicas"),
                               number("num_replicas") == 1 ? "" : "s", window_ns / kNsPerSec),
                   ""});
  }
  return out;
}

BrokerDifference compare_broker(const json& values, const LoadedConfig& loaded) {
  static constexpr std::array kKeys = {"nats_url",   "nats_user",       "nats_password",
                                       "nats_token", "nats_creds_file", "nats_nkey_file"};
  std::map<std::string, json> running;
  for (const json& row : values) running[row.at("key").get<std::string>()] = row;
  BrokerDifference found;
  for (const service::EffectiveValue& here : appliance_schema().effective(&loaded.config, loaded.origins)) {
    const auto there = running.find(here.path);
    if (std::find(kKeys.begin(), kKeys.end(), here.path) == kKeys.end() || there == running.end()) continue;
    const auto value = there->second.at("value").get<std::string>();
    if (value == here.value) continue;
    if (found.keys.empty()) found.from = there->second.at("from").get<std::string>();
    found.keys.push_back(here.path);
    if (here.path == "nats_url") found.nats_url = value;
  }
  if (found.keys.size() != 1 || found.nats_url.find("****") != std::string::npos) found.nats_url.clear();
  return found;
}

std::vector<DoctorFinding> ask_broker(const ApplianceConfig& config) {
  if (!publishes_to_nats(config)) return {};
  const outbound::NatsConfig nats = nats_config(config);
  const std::string about = "nats";
  const std::string where = outbound::urls_without_secrets(nats.urls);
  auto made = outbound::NatsClient::make(nats);
  if (!made) return {{about, DoctorGrade::wrong, made.error().message, "weir check -c FILE"}};
  outbound::NatsClient& client = **made;
  if (const auto connected = client.connect(); !connected) {
    return {{about, DoctorGrade::wrong, connected.error().message,
             reach_advice(nats.urls)}};
  }
  Diagnosis out = {{about, DoctorGrade::fine,
                   fmt::format("{} answers; messages up to {}", where, service::print_size(client.payload_max())), ""}};
  const auto reply = client.request("$JS.API.STREAM.INFO." + config.stream_name, "", kAskTimeoutMs);
  if (!reply || !*reply) {
    out.push_back({"jetstream", DoctorGrade::wrong,
                   !reply ? reply.error().message : std::string("JetStream does not answer"),
                   "start nats-server with -js, or give this user leave to publish to $JS.API.>"});
    return out;
  }
  const json body = json::parse(reply->body(), nullptr, false);
  if (body.is_object() && body.contains("config")) {
    const Diagnosis stream = diagnose_stream(body.at("config"), client.payload_max(), config);
    out.insert(out.end(), stream.begin(), stream.end());
  } else {
    const bool is_absent = body.is_object() && body.value(json::json_pointer("/error/err_code"), 0) == 10059;
    out.push_back({"stream " + config.stream_name, is_absent ? DoctorGrade::note : DoctorGrade::warning,
                   is_absent ? "is not there yet; weir makes it when it starts"
                             : "JetStream says: " + std::string(reply->body().substr(0, 200)),
                   is_absent ? std::string("systemctl start weir") : "nats stream info " + config.stream_name});
  }
  return out;
}

}  // namespace weir::control
