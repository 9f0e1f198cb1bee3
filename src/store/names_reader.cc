#include "store/names_reader.h"

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <array>
#include <optional>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "exporter.pb.h"
#include "service/log.h"

namespace weir::store {
namespace {

constexpr int kWaitMs = 250;
constexpr auto kRetryWait = std::chrono::milliseconds(250);
constexpr uint64_t kRetryAfterNs = 10 * kNsPerSec;

std::optional<AddressOctets> address_of(const std::string& octets) {
  AddressOctets address{};
  if (octets.size() == 16) {
    std::copy(octets.begin(), octets.end(), address.begin());
  } else if (octets.size() == 4) {
    address[10] = address[11] = 0xff;
    std::copy(octets.begin(), octets.end(), address.begin() + 12);
  } else {
    return std::nullopt;
  }
  return address;
}

SqlValue text_or_null(const std::string& text) {
  if (text.empty()) return std::monostate();
  return text;
}

}  // namespace

Result<bool> store_exporter(Connection& connection, std::string_view payload) {
  const google::protobuf::LogSilencer counted_not_logged;
  flowpb::ExporterInfo info;
  if (!info.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) return false;
  const auto address = address_of(info.exporter_address());
  if (!address) return false;
  auto stored = retry_conflicts(connection, [&]() -> Result<void> {
    auto done = connection.query("INSERT OR REPLACE INTO exporters VALUES (?, ?, ?)",
                                 std::array<SqlValue, 3>{*address, text_or_null(info.name()), text_or_null(info.site())});
    if (!done) return done.error();
    auto insert = connection.prepare("INSERT OR REPLACE INTO exporter_interfaces VALUES (?, ?, ?, ?, ?)");
    if (!insert) return insert.error();
    for (int i = 0; i < std::min(info.interfaces_size(), kInterfacesMax); ++i) {
      const flowpb::InterfaceInfo& interface = info.interfaces(i);
      const SqlValue values[] = {*address, static_cast<int64_t>(interface.if_index()), text_or_null(interface.name()),
                                 text_or_null(interface.description()),
                                 static_cast<int64_t>(std::min<uint64_t>(interface.speed_bps(), INT64_MAX))};
      for (size_t at = 0; at < std::size(values); ++at) {
        if (auto bound = insert->bind(at, values[at]); !bound) return bound;
      }
      if (auto ran = insert->run(); !ran) return ran.error();
    }
    return {};
  });
  if (!stored) return stored.error();
  return true;
}

void NamesReader::run() {
  view_.publish(std::make_shared<const NamesView>());
  while (!is_stopping_.load(std::memory_order_acquire)) {
    const auto done = step();
    now_.trouble = done ? "" : done.error().message;
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
  if (!*message) return {};
  const auto database = store_.database();
  if (database == nullptr) return Error{"the store is being opened anew"};
  auto connection = database->connect();
  if (!connection) return connection.error();
  const auto stored = store_exporter(*connection, (*message)->payload);
  if (!stored) return stored.error();
  ++(*stored ? now_.messages : now_.malformed);
  return {};
}

}  // namespace weir::store
