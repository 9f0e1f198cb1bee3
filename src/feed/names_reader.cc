#include "feed/names_reader.h"

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "exporter.pb.h"
#include "service/log.h"

namespace weir::feed {
namespace {

constexpr int kWaitMs = 250;
constexpr auto kRetryWait = std::chrono::milliseconds(250);
constexpr uint64_t kRetryAfterNs = 10 * kNsPerSec;
constexpr uint64_t kPublishEveryNs = kNsPerSec;  // while messages come one after the other

std::optional<IpAddress> address_of(const std::string& octets) noexcept {
  const auto* const data = reinterpret_cast<const uint8_t*>(octets.data());
  if (octets.size() == 4) return IpAddress::from_v4(data);
  if (octets.size() == 16) return IpAddress::from_v6(data);
  return std::nullopt;
}

/// `omitted`: counts what there was no room for.
std::shared_ptr<const enrich::ExporterNames> names_of(const flowpb::ExporterInfo& info, uint64_t& omitted) {
  auto names = std::make_shared<enrich::ExporterNames>();
  names->set_name(info.name());
  names->set_site(info.site());
  for (const auto& each : info.interfaces()) omitted += names->add_interface(each.if_index(), each.name()) ? 0 : 1;
  for (const auto& each : info.vrfs()) omitted += names->add_vrf(each.id(), each.name()) ? 0 : 1;
  for (const auto& each : info.applications()) omitted += names->add_application(each.id(), each.name()) ? 0 : 1;
  return names;
}

}  // namespace

void NamesReader::run() {
  view_.publish(std::make_shared<const NamesView>());
  while (!is_stopping_.load(std::memory_order_acquire)) {
    const auto done = step();
    now_.trouble = done ? "" : done.error().message;
    if (!done) publish();  // whoever waits for names waits for nothing
    tell(now_.trouble);
    view_.publish(std::make_shared<const NamesView>(now_));
    if (done) continue;
    reader_.reset();
    const uint64_t until_ns = steady_clock_ns() + kRetryAfterNs;
    while (steady_clock_ns() < until_ns && !is_stopping_.load(std::memory_order_acquire)) std::this_thread::sleep_for(kRetryWait);
  }
}

Result<void> NamesReader::step() {
  if (reader_ == nullptr) {
    auto opened = outbound::JetStreamReader::open(config_);
    if (!opened) return opened.error();
    reader_ = std::move(*opened);
  }
  auto message = reader_->next(kWaitMs);
  if (!message) return message.error();
  if (*message) {
    if (auto taken = take((*message)->payload); !taken) return taken;
  }
  const bool is_all = !*message || reader_->pending() == 0;
  const bool is_late = table_.read() != nullptr && steady_clock_ns() - published_ns_ >= kPublishEveryNs;
  if (has_changed_ && (is_all || is_late)) publish();
  return {};
}

Result<void> NamesReader::take(const std::string& payload) {
  const google::protobuf::LogSilencer counted_not_logged;
  flowpb::ExporterInfo info;
  const auto exporter = info.ParseFromString(payload) ? address_of(info.exporter_address()) : std::nullopt;
  if (!exporter) {
    ++now_.malformed;
    return {};
  }
  if (take_) {
    if (auto taken = take_(*exporter, info); !taken) return taken;
  }
  ++now_.messages;
  if (!names_.put(*exporter, names_of(info, now_.omitted))) ++now_.omitted;
  now_.exporters = names_.size();
  has_changed_ = true;
  return {};
}

void NamesReader::publish() {
  if (!has_changed_) return;
  table_.publish(std::make_shared<const enrich::NamesTable>(names_));
  published_ns_ = steady_clock_ns();
  has_changed_ = false;
}

void NamesReader::tell(const std::string& trouble) {
  if (trouble.empty() == !was_told_) return;
  was_told_ = !trouble.empty();
  if (was_told_) {
    service::log_info("no names of exporters and interfaces just now: {}; it is tried again every 10 s", trouble);
  } else {
    service::log_info("names of exporters and interfaces come from stream {}", config_.stream);
  }
}

outbound::ReaderConfig names_reader_config(const FeedSettings& settings, const NamesConfig& names, const std::string& program) {
  outbound::ReaderConfig reader;
  reader.nats = nats_config(settings, program);
  reader.stream = names.stream_name;
  reader.subject = names.subject;
  return reader;
}

nlohmann::json names_json(const NamesView& names) {
  return {{"exporters", names.exporters}, {"messages", names.messages}, {"malformed", names.malformed},
          {"omitted", names.omitted},     {"trouble", names.trouble}};
}

void add_names_metrics(service::MetricPage& page, const std::string& program, const NamesView& names) {
  page.gauge(program + "_names_exporters", "Exporters of whom names are known.", {}, static_cast<double>(names.exporters));
  page.gauge(program + "_names_connected", "1: names come from the collector's stream.", {}, names.trouble.empty() ? 1 : 0);
  page.counter(program + "_names_messages_total", "Messages with an exporter's names.", {}, names.messages);
  page.counter(program + "_names_malformed_total", "Messages of that stream that are none.", {}, names.malformed);
  page.counter(program + "_names_omitted_total", "Names that there was no room for, each time that they came.", {}, names.omitted);
}

}  // namespace weir::feed
