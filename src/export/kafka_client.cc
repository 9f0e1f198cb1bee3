#include "export/kafka_client.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace weir::outbound {
namespace {

constexpr size_t kErrorOctets = 512;
constexpr int kEventsPerTurn = 1024;

/// What makes it deliver at least once, and once only as far as Kafka can tell.
constexpr struct {
  const char* name;
  const char* value;
} kFixedOptions[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"message.timeout.ms", "0"},  // whoever waits for the report decides how long
};
/// Other names of what is fixed, and what would change what a producer is.
constexpr const char* kReservedOptions[] = {
    "bootstrap.servers", "metadata.broker.list", "request.required.acks", "delivery.timeout.ms",
    "transactional.id",  "enable.gapless.guarantee"};
constexpr const char* kStatisticsMs = "500";  // they tell whether a broker is connected

KafkaReport::Result meaning_of(rd_kafka_resp_err_t error) {
  using Result = KafkaReport::Result;
  switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return Result::stored;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__DESTROY: return Result::given_up;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION: return Result::no_topic;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: return Result::too_large;
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS: return Result::refused;
    default: return Result::failed;  // authorization too: somebody will grant it
  }
}

/// What the library logs it also reports; its own lines would go to standard error.
void on_log(const rd_kafka_t*, int, const char*, const char*) {}

using Conf = std::unique_ptr<rd_kafka_conf_t, decltype(&rd_kafka_conf_destroy)>;

Result<void> set_option(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char why[kErrorOctets];
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why, sizeof why) == RD_KAFKA_CONF_OK) {
    return {};
  }
  return Error{"options: " + std::string(why)};
}

}  // namespace

bool kafka_is_there() noexcept { return true; }

std::optional<std::string> kafka_option_trouble(const std::string& name, const std::string& value) {
  const auto is_fixed = [&](const auto& fixed) { return name == fixed.name; };
  if (std::any_of(std::begin(kFixedOptions), std::end(kFixedOptions), is_fixed) ||
      std::find(std::begin(kReservedOptions), std::end(kReservedOptions), name) !=
          std::end(kReservedOptions)) {
    return name == "bootstrap.servers" || name == "metadata.broker.list"
               ? "is the key brokers, beside options"
               : "cannot be changed: the producer is idempotent, and each message is acknowledged by all "
                 "replicas or sent again";
  }
  const Conf conf(rd_kafka_conf_new(), rd_kafka_conf_destroy);
  const auto set = set_option(conf.get(), name, value);
  if (set) return {};
  return set.error().message.substr(std::string_view("options: ").size());
}

struct KafkaClient::Library {
  rd_kafka_conf_t* conf = nullptr;  // the template of each producer
  rd_kafka_t* producer = nullptr;
  rd_kafka_queue_t* queue = nullptr;
  ~Library() {
    if (conf != nullptr) rd_kafka_conf_destroy(conf);
  }
};

Result<std::unique_ptr<KafkaClient>> KafkaClient::make(KafkaConfig config) {
  auto library = std::make_unique<Library>();
  rd_kafka_conf_t* const conf = library->conf = rd_kafka_conf_new();
  for (const auto& [name, value] : config.options) {
    if (const auto trouble = kafka_option_trouble(name, value)) {
      return Error{"options: " + name + ": " + *trouble};
    }
    static_cast<void>(set_option(conf, name, value));
  }
  for (const auto& fixed : kFixedOptions) {
    if (auto set = set_option(conf, fixed.name, fixed.value); !set) return set.error();
  }
  if (auto set = set_option(conf, "statistics.interval.ms", kStatisticsMs); !set) return set.error();
  rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
  rd_kafka_conf_set_log_cb(conf, on_log);

  // What options do together only a producer tells; without brokers it connects to nothing.
  rd_kafka_conf_t* trial = rd_kafka_conf_dup(conf);
  char why[kErrorOctets];
  rd_kafka_t* const producer = rd_kafka_new(RD_KAFKA_PRODUCER, trial, why, sizeof why);
  if (producer == nullptr) {
    rd_kafka_conf_destroy(trial);
    return Error{"options: " + std::string(why)};
  }
  rd_kafka_destroy(producer);

  std::unique_ptr<KafkaClient> client(new KafkaClient(std::move(config), std::move(library)));
  if (auto set = set_option(conf, "bootstrap.servers", client->config_.brokers); !set) {
    return Error{"brokers: " + set.error().message};
  }
  char value[32] = {};
  size_t octets = sizeof value;
  rd_kafka_conf_get(conf, "message.max.bytes", value, &octets);
  client->message_octets_max_ = std::strtoull(value, nullptr, 10);
  return client;
}

KafkaClient::KafkaClient(KafkaConfig config, std::unique_ptr<Library> library)
    : config_(std::move(config)), library_(std::move(library)) {}

KafkaClient::~KafkaClient() { close(); }

bool KafkaClient::is_open() const noexcept { return library_->producer != nullptr; }

Result<void> KafkaClient::open() {
  rd_kafka_conf_t* const conf = rd_kafka_conf_dup(library_->conf);
  char why[kErrorOctets];
  rd_kafka_t* const producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  if (producer == nullptr) {
    rd_kafka_conf_destroy(conf);
    return Error{why};
  }
  const std::lock_guard lock(wake_mutex_);
  library_->producer = producer;
  library_->queue = rd_kafka_queue_get_main(producer);
  return {};
}

void KafkaClient::close() {
  rd_kafka_queue_t* queue = nullptr;
  {
    const std::lock_guard lock(wake_mutex_);
    std::swap(queue, library_->queue);
  }
  if (queue != nullptr) rd_kafka_queue_destroy(queue);
  if (library_->producer != nullptr) rd_kafka_destroy(library_->producer);
  library_->producer = nullptr;
  is_connected_ = is_dead_ = false;
  retries_before_ = retries_;
  reports_.clear();
}

std::string KafkaClient::take_trouble() { return std::exchange(trouble_, {}); }

KafkaSent KafkaClient::send(const KafkaMessage& message) {
  std::array<rd_kafka_vu_t, 6> fields{};
  size_t count = 0;
  const auto add = [&](rd_kafka_vtype_t type) -> auto& {
    fields[count].vtype = type;
    return fields[count++].u;
  };
  add(RD_KAFKA_VTYPE_TOPIC).cstr = message.topic;
  add(RD_KAFKA_VTYPE_MSGFLAGS).i = message.is_passing ? RD_KAFKA_MSG_F_COPY : 0;
  auto& value = add(RD_KAFKA_VTYPE_VALUE);
  value.mem.ptr = const_cast<uint8_t*>(message.payload.data());
  value.mem.size = message.payload.size();
  if (!message.key.empty()) {
    auto& key = add(RD_KAFKA_VTYPE_KEY);
    key.mem.ptr = const_cast<char*>(message.key.data());
    key.mem.size = message.key.size();
  }
  add(RD_KAFKA_VTYPE_OPAQUE).ptr = reinterpret_cast<void*>(message.token);
  // As a list of our own: of headers one by one librdkafka 2.0 frees its list twice when it refuses.
  rd_kafka_headers_t* const headers = rd_kafka_headers_new(message.headers.size());
  for (const KafkaHeader& header : message.headers) {
    rd_kafka_header_add(headers, header.name, -1, header.value.data(),
                        static_cast<ssize_t>(header.value.size()));
  }
  add(RD_KAFKA_VTYPE_HEADERS).headers = headers;
  rd_kafka_error_t* const error = rd_kafka_produceva(library_->producer, fields.data(), count);
  if (error == nullptr) return KafkaSent::queued;
  rd_kafka_headers_destroy(headers);  // they stay ours then
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  const std::string text = rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  switch (code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: return KafkaSent::full;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: trouble_ = text; return KafkaSent::too_large;
    case RD_KAFKA_RESP_ERR__FATAL: is_dead_ = true; return KafkaSent::dead;
    default: break;
  }
  trouble_ = std::string("topic ") + message.topic + ": " + text;
  return meaning_of(code) == KafkaReport::Result::refused ? KafkaSent::refused : KafkaSent::not_now;
}

void KafkaClient::perform(int wait_ms) {
  if (library_->queue == nullptr) {
    if (wait_ms > 0) closed_.wait(wait_ms, [] { return false; });
    return;
  }
  for (int i = 0; i < kEventsPerTurn; ++i) {
    rd_kafka_event_t* const event = rd_kafka_queue_poll(library_->queue, i == 0 ? wait_ms : 0);
    if (event == nullptr) return;
    switch (rd_kafka_event_type(event)) {
      case RD_KAFKA_EVENT_DR:
        while (const rd_kafka_message_t* m = rd_kafka_event_message_next(event)) {
          reports_.push_back({reinterpret_cast<uint64_t>(m->_private), meaning_of(m->err),
                              rd_kafka_err2str(m->err)});
        }
        break;
      case RD_KAFKA_EVENT_ERROR:
        on_error(rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        if (rd_kafka_event_error_is_fatal(event) != 0) is_dead_ = true;
        break;
      case RD_KAFKA_EVENT_STATS: on_statistics(rd_kafka_event_stats(event)); break;
      default: break;
    }
    rd_kafka_event_destroy(event);
  }
}

void KafkaClient::on_error(int error, const char* text) {
  trouble_ = text;
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    // That says nothing of why; what one of them was down for does.
    is_connected_ = false;
    if (!cause_.empty()) trouble_.append(": ").append(cause_);
  } else {
    cause_ = text;
  }
}

void KafkaClient::on_statistics(const char* text) {
  const auto all = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!all.is_object() || !all.contains("brokers")) return;
  bool is_up = false;
  uint64_t retries = 0;
  for (const auto& broker : all["brokers"]) {
    is_up = is_up || broker.value("state", "") == "UP";
    retries += broker.value("txretries", uint64_t{0});
  }
  is_connected_ = is_up;
  retries_ = retries_before_ + retries;
}

bool KafkaClient::take_report(KafkaReport& report) {
  if (reports_.empty()) return false;
  report = reports_.front();
  reports_.pop_front();
  return true;
}

void KafkaClient::purge(KafkaPurge what) {
  if (library_->producer == nullptr) return;
  rd_kafka_purge(library_->producer,
                 RD_KAFKA_PURGE_F_QUEUE | (what == KafkaPurge::all ? RD_KAFKA_PURGE_F_INFLIGHT : 0));
}

void KafkaClient::wake() noexcept {
  closed_.wake();
  const std::lock_guard lock(wake_mutex_);
  if (library_->queue != nullptr) rd_kafka_queue_yield(library_->queue);
}

}  // namespace weir::outbound
