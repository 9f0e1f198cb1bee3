#include "export/jetstream_reader.h"

#include <nats/nats.h>

#include <algorithm>

#include "base/clock.h"
#include "base/value_named.h"
#include "export/batch_reader.h"
#include "export/nats_options.h"
#include "flow.pb.h"

namespace weir::outbound {
namespace {

constexpr int kFetchMessages = 64;  // of 64 KiB each: what one request brings
// A reader whose output is paged may pause this long before the server forgets its consumer.
constexpr int64_t kInactiveThresholdNs = 600'000'000'000;
constexpr int kRecoveriesMax = 10;  // without a message in between
constexpr uint64_t kRetryNs = 5 * kNsPerSec;  // with renewed files that did not do

std::string text_of(natsStatus status, jsErrCode code) {
  std::string text = text_of_nats(status);
  if (code != 0) text += " (JetStream error " + std::to_string(static_cast<int>(code)) + ")";
  return text;
}

}  // namespace

struct JetStreamReader::State {
  explicit State(const ReaderConfig& c) : config(c), watch(files_of(c.nats)) {}

  ReaderConfig config;
  FileWatch watch;  // the files that the connection was made from
  natsConnection* connection = nullptr;
  jsCtx* context = nullptr;
  natsSubscription* subscription = nullptr;
  natsMsgList fetched{};
  int fetched_at = 0;  // the next of them to hand out
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t next = 1;  // the sequence to go on from
  uint64_t pending = 0;
  int recoveries = 0;
  uint64_t next_try_ns = 0;

  ~State() { disconnect(); }

  void disconnect() {
    drop_subscription();
    jsCtx_Destroy(context);
    context = nullptr;
    natsConnection_Destroy(connection);
    connection = nullptr;
  }

  /// In the place of the connection that there is; where none can be made, that one stays.
  Result<void> connect() {
    watch.begin_reading();
    auto options = make_nats_options(config.nats);
    if (!options) return options.error();
    // A fetch waits for its request to be written: at once, not after the flusher's millisecond.
    natsOptions_SetSendAsap(options->get(), true);
    natsConnection* made = nullptr;
    auto s = static_cast<natsStatus>(connect_to_nats(&made, options->get(), config.nats));
    if (s != NATS_OK) {
      return Error{"NATS server " + urls_without_secrets(config.nats.urls) + ": " +
                   explain_failed_connect(s, config.nats)};
    }
    disconnect();
    connection = made;
    watch.end_reading();
    s = natsConnection_JetStream(&context, connection, nullptr);
    if (s != NATS_OK) return Error{"JetStream: " + text_of(s, jsErrCode{})};
    return {};
  }

  /// Certificates that were renewed are taken between two fetches.
  void keep_fresh() {
    const uint64_t now_ns = steady_clock_ns();
    if (!watch.has_changed(now_ns) || (watch.was_tried() && now_ns < next_try_ns)) return;
    next_try_ns = now_ns + kRetryNs;
    // What fails here shows at the next fetch.
    if (connect() && !subscribe()) drop_subscription();
  }

  void drop_subscription() {
    natsMsgList_Destroy(&fetched);
    fetched = {};
    fetched_at = 0;
    natsSubscription_Destroy(subscription);  // and the consumer with it
    subscription = nullptr;
  }

  Result<void> subscribe() {
    drop_subscription();
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = config.stream.c_str();
    options.Config.AckPolicy = js_AckNone;
    options.Config.DeliverPolicy = js_DeliverByStartSequence;
    options.Config.OptStartSeq = next;
    options.Config.InactiveThreshold = kInactiveThresholdNs;
    jsErrCode code{};
    const natsStatus s = js_PullSubscribe(&subscription, context, config.subject.c_str(), nullptr,
                                          nullptr, &options, &code);
    if (s != NATS_OK) {
      return Error{"stream " + config.stream + ", subject " + config.subject +
                   ": no consumer: " + text_of(s, code)};
    }
    jsConsumerInfo* info = nullptr;
    if (natsSubscription_GetConsumerInfo(&info, subscription, nullptr, nullptr) == NATS_OK) {
      pending = info->NumPending;
      jsConsumerInfo_Destroy(info);
    }
    return {};
  }
};

JetStreamReader::JetStreamReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
JetStreamReader::~JetStreamReader() = default;

uint64_t JetStreamReader::first_sequence() const noexcept { return state_->first; }
uint64_t JetStreamReader::pending() const noexcept { return state_->pending; }
uint64_t JetStreamReader::last_sequence() const noexcept { return state_->last; }

Result<std::unique_ptr<JetStreamReader>> JetStreamReader::open(const ReaderConfig& config) {
  auto state = std::make_unique<State>(config);
  if (const auto connected = state->connect(); !connected) return connected.error();

  jsStreamInfo* info = nullptr;
  jsErrCode code{};
  natsStatus s = js_GetStreamInfo(&info, state->context, config.stream.c_str(), nullptr, &code);
  if (s == NATS_NO_RESPONDERS) {
    return Error{"stream " + config.stream + ": the NATS server has no JetStream"};
  }
  if (s != NATS_OK) return Error{"stream " + config.stream + ": " + text_of(s, code)};
  state->first = info->State.FirstSeq;
  state->last = info->State.LastSeq;
  jsStreamInfo_Destroy(info);

  state->next = config.only_new ? state->last + 1 : std::max<uint64_t>(config.start_sequence, 1);
  if (const auto made = state->subscribe(); !made) return made.error();
  return std::unique_ptr<JetStreamReader>(new JetStreamReader(std::move(state)));
}

Result<void> JetStreamReader::seek(uint64_t sequence) {
  state_->next = std::max<uint64_t>(sequence, 1);
  return state_->subscribe();
}

Result<std::optional<StreamMessage>> JetStreamReader::next(int wait_ms) {
  State& state = *state_;
  if (state.fetched_at == state.fetched.Count) {
    state.keep_fresh();
    natsMsgList_Destroy(&state.fetched);
    state.fetched = {};
    state.fetched_at = 0;
    jsErrCode code{};
    const natsStatus s = state.subscription == nullptr
                             ? NATS_INVALID_SUBSCRIPTION
                             : natsSubscription_Fetch(&state.fetched, state.subscription,
                                                      kFetchMessages, std::max(wait_ms, 1), &code);
    if (s == NATS_TIMEOUT) return std::optional<StreamMessage>{};
    if (s != NATS_OK) {
      if (++state.recoveries > kRecoveriesMax) {
        return Error{"stream " + state.config.stream + ": " + text_of(s, code)};
      }
      nats_Sleep(std::max(wait_ms, 1));
      // What fails here shows at the next call; by then the server may be back.
      if (const auto made = state.subscribe(); !made) state.drop_subscription();
      return std::optional<StreamMessage>{};
    }
    if (state.fetched.Count == 0) return std::optional<StreamMessage>{};
  }
  state.recoveries = 0;
  natsMsg* raw = state.fetched.Msgs[state.fetched_at++];

  StreamMessage message;
  message.subject = natsMsg_GetSubject(raw);
  message.payload.assign(natsMsg_GetData(raw), static_cast<size_t>(natsMsg_GetDataLength(raw)));
  const char* value = nullptr;
  if (natsMsgHeader_Get(raw, "Nats-Msg-Id", &value) == NATS_OK) message.id = value;
  value = nullptr;
  if (natsMsgHeader_Get(raw, "Weir-Framing", &value) != NATS_OK) value = nullptr;
  const char* compression = nullptr;
  if (natsMsgHeader_Get(raw, "Weir-Compression", &compression) != NATS_OK) compression = nullptr;
  unframe(message, value, compression);
  value = nullptr;
  if (natsMsgHeader_Get(raw, "Weir-Kind", &value) != NATS_OK) value = nullptr;
  message.kind = kind_of(value, message.subject);
  if (message.kind == RecordKind::count_) message.framing.reset();
  jsMsgMetaData* meta = nullptr;
  if (natsMsg_GetMetaData(&meta, raw) == NATS_OK) {
    message.sequence = meta->Sequence.Stream;
    message.stored_ns = static_cast<uint64_t>(meta->Timestamp);
    state.pending = meta->NumPending;
    jsMsgMetaData_Destroy(meta);
    state.next = message.sequence + 1;
  }
  return std::optional<StreamMessage>{std::move(message)};
}

void unframe(StreamMessage& message, const char* framing, const char* compression) {
  message.framing = framing_of(framing, message.payload);
  const auto packing =
      compression == nullptr ? Compression::none : value_named<Compression>(compression);
  if (!packing) message.framing.reset();
  if (!message.framing) return;
  const bool is_plain = *packing == Compression::none &&
                        (message.framing == Framing::batch || message.framing == Framing::single);
  if (is_plain) return;
  const auto* octets = reinterpret_cast<const uint8_t*>(message.payload.data());
  if (const auto batch = unframe({octets, message.payload.size()}, *message.framing, *packing)) {
    message.payload.assign(batch->begin(), batch->end());
  } else {
    message.framing.reset();
  }
}

std::optional<Framing> framing_of(const char* header_or_null, const std::string& payload) noexcept {
  if (header_or_null != nullptr) return value_named<Framing>(header_or_null);
  return !payload.empty() && payload.front() == '\x0A' ? Framing::batch : Framing::single;
}

RecordKind kind_of(const char* header_or_null, std::string_view subject) noexcept {
  if (header_or_null != nullptr) {
    return value_named<RecordKind>(header_or_null).value_or(RecordKind::count_);
  }
  const auto begins_with = [subject](std::string_view s) {
    return subject.substr(0, s.size()) == s;
  };
  if (begins_with("flows.counters.")) return RecordKind::sflow_counters;
  if (begins_with("flows.discards.")) return RecordKind::sflow_discard;
  return RecordKind::flow;
}

bool parse_flows(const StreamMessage& message, flowpb::FlowBatch& flows) {
  flows.Clear();
  if (!message.framing || message.kind != RecordKind::flow) return false;
  const auto* octets = reinterpret_cast<const uint8_t*>(message.payload.data());
  return read_flows({octets, message.payload.size()}, [&](const flowpb::FlowMessage& flow) {
           *flows.add_flows() = flow;
         }).malformed == 0;
}

}  // namespace weir::outbound
