#include "export/jetstream_consumer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/clock.h"
#include "export/jetstream_stream.h"

namespace weir::outbound {
namespace {

constexpr uint64_t kConnectWaitMs = 500;
constexpr uint64_t kLookEveryNs = kNsPerSec;
constexpr uint64_t kLookWaitMs = 500;  // where something is not ready
constexpr uint64_t kExpiresMs = 5000;  // a request that brings nothing ends by itself
constexpr uint64_t kExpiresGraceMs = JetStreamConsumer::kRequestMaxMs - kExpiresMs;
constexpr uint32_t kMaxWaiting = 4096;  // requests of all who share a consumer
constexpr size_t kAckTokensMax = 16;

uint64_t count_in(const Json* object, const char* key) {
  const auto number = object == nullptr ? std::nullopt : number_in(*object, key);
  return number && *number > 0 ? static_cast<uint64_t>(*number) : 0;
}

std::optional<uint64_t> number_of(std::string_view text) noexcept {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string consumer_name(std::string_view name, std::string_view subject) {
  std::string made = std::string(name) + "-";
  for (const char c : subject) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (plain) {
      made += c;
    } else {
      made += c == '*' ? "any" : c == '>' ? "all" : c == '.' ? "-" : "_";
    }
  }
  return made;
}

std::optional<DeliveryPlace> parse_ack_subject(std::string_view subject) noexcept {
  std::array<std::string_view, kAckTokensMax> token;
  size_t tokens = 0;
  while (tokens < kAckTokensMax) {
    const size_t dot = std::min(subject.find('.'), subject.size());
    token[tokens++] = subject.substr(0, dot);
    if (dot == subject.size()) break;
    subject.remove_prefix(dot + 1);
  }
  // $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>; newer servers put a domain and an
  // account in front of the stream, and a token behind it all.
  if (tokens < 9 || token[0] != "$JS" || token[1] != "ACK") return std::nullopt;
  const size_t at = tokens == 9 ? 2 : 4;
  if (tokens > 9 && tokens < 11) return std::nullopt;
  DeliveryPlace place{token[at], token[at + 1]};
  const auto deliveries = number_of(token[at + 2]);
  const auto stream = number_of(token[at + 3]);
  const auto consumer = number_of(token[at + 4]);
  if (!deliveries || !stream || !consumer) return std::nullopt;
  place.deliveries = *deliveries;
  place.stream_sequence = *stream;
  place.consumer_sequence = *consumer;
  place.stored_ns = number_of(token[at + 5]).value_or(0);
  return place;
}

Result<std::unique_ptr<JetStreamConsumer>> JetStreamConsumer::make(ConsumerConfig config) {
  if (config.subjects.empty() || config.subjects.size() > kConsumerInputsMax) {
    return Error{"1 to " + std::to_string(kConsumerInputsMax) + " subjects to consume, not " +
                 std::to_string(config.subjects.size())};
  }
  auto client = NatsClient::make(config.nats);
  if (!client) return client.error();
  return std::unique_ptr<JetStreamConsumer>(new JetStreamConsumer(std::move(config), std::move(*client)));
}

JetStreamConsumer::JetStreamConsumer(ConsumerConfig config, std::unique_ptr<NatsClient> client)
    : config_(std::move(config)),
      client_(std::move(client)),
      connection_trouble_("not connected yet"),
      backoff_(kConnectWaitMs, kConnectWaitMs, steady_clock_ns()) {
  for (const std::string& subject : config_.subjects) {
    Input& input = inputs_.emplace_back();
    input.look.subject = subject;
    input.look.consumer = consumer_name(config_.name, subject);
  }
}

JetStreamConsumer::~JetStreamConsumer() = default;

std::string JetStreamConsumer::trouble() const {
  for (const std::string* text : {&connection_trouble_, &stream_trouble_}) {
    if (!text->empty()) return *text;
  }
  for (const Input& input : inputs_) {
    if (!input.look.trouble.empty()) return input.look.trouble;
  }
  return client_->renewal_trouble();
}

// ------------------------------------------------------------------------------------ connection

void JetStreamConsumer::step(uint64_t now_ns) {
  keep_connected(now_ns);
  if (const uint64_t disconnects = client_->disconnects(); disconnects != disconnects_seen_) {
    // Requests and what was under way to us are lost with a connection.
    disconnects_seen_ = disconnects;
    for (Input& input : inputs_) input.outstanding = 0;
    next_look_ns_ = 0;
  }
  if (now_ns < next_look_ns_ || !client_->connected()) return;
  bool ready = look_at_stream();
  for (Input& input : inputs_) {
    if (!ready) break;  // who did not answer once need not be asked again at once
    ready = look_at(input);
  }
  next_look_ns_ = steady_clock_ns() + (ready ? kLookEveryNs : backoff_.jittered(kLookWaitMs * kNsPerMs));
}

void JetStreamConsumer::keep_connected(uint64_t now_ns) {
  client_->keep_fresh(now_ns);
  if (!client_->closed()) {
    if (client_->connected()) {
      connection_trouble_.clear();
    } else {
      const std::string why = client_->last_trouble();
      connection_trouble_ = "NATS connection lost, reconnecting" + (why.empty() ? "" : ": " + why);
    }
    return;
  }
  if (now_ns < next_connect_ns_) return;
  if (const auto connected = client_->connect(); !connected) {
    connection_trouble_ = connected.error().message;
    next_connect_ns_ = steady_clock_ns() + backoff_.jittered(kConnectWaitMs * kNsPerMs);
    return;
  }
  ++connects_;
  connection_trouble_.clear();
  for (Input& input : inputs_) input.outstanding = 0;
  next_look_ns_ = 0;
}

// ------------------------------------------------------------------------------------ looks

bool JetStreamConsumer::look_at_stream() {
  const ApiAnswer answer =
      call_jetstream(*client_, "STREAM.INFO." + config_.stream, "", static_cast<int>(config_.api_timeout_ms));
  stream_trouble_.clear();
  switch (answer.state) {
    case ApiAnswer::State::ok: break;
    case ApiAnswer::State::no_jetstream:
      stream_trouble_ = "stream " + config_.stream +
                        ": the NATS server has no JetStream (start it with -js, or give the account JetStream)";
      return false;
    case ApiAnswer::State::error:
      stream_trouble_ = "stream " + config_.stream + ": " + answer.error.description + " (JetStream error " +
                        std::to_string(answer.error.err_code) + ")";
      if (answer.is_error(kStreamNotFound)) {
        stream_trouble_ += "; the collector makes it when it first connects";
        for (Input& input : inputs_) input.look.is_ready = false;
      }
      return false;
    case ApiAnswer::State::no_answer:
      stream_trouble_ = "stream " + config_.stream + ": " + answer.error.description;
      return false;
  }
  const Json* const state = object_in(answer.body, "state");
  stream_ = {count_in(state, "messages"), count_in(state, "first_seq"), count_in(state, "last_seq")};
  // Another stream under the name: its sequences have nothing to do with those that we knew.
  if (std::string created = text_in(answer.body, "created").value_or(""); created != stream_created_) {
    stream_created_ = std::move(created);
    for (Input& input : inputs_) {
      input.look.acknowledged_to = 0;
      input.expiry.forget();
    }
  }
  stream_subjects_.clear();
  if (const Json* const config = object_in(answer.body, "config")) {
    if (const auto list = config->find("subjects"); list != config->end() && list->is_array()) {
      for (const Json& subject : *list) {
        if (subject.is_string()) stream_subjects_.push_back(subject.get<std::string>());
      }
    }
  }
  for (Input& input : inputs_) {
    input.look.takes_whole_stream =
        !stream_subjects_.empty() &&
        std::all_of(stream_subjects_.begin(), stream_subjects_.end(),
                    [&](const std::string& subject) { return covers(input.look.subject, subject); });
  }
  return true;
}

bool JetStreamConsumer::note(Input& input, const ApiAnswer& answer, const char* what) {
  input.look.trouble = "consumer " + input.look.consumer + " of stream " + config_.stream + ": " + what + ": " +
                       (answer.state == ApiAnswer::State::no_jetstream ? "nobody answers" : answer.error.description);
  if (answer.state == ApiAnswer::State::error) {
    input.look.trouble += " (JetStream error " + std::to_string(answer.error.err_code) + ")";
    input.look.is_ready = false;
  }
  return false;
}

bool JetStreamConsumer::look_at(Input& input) {
  const int timeout_ms = static_cast<int>(config_.api_timeout_ms);
  const std::string operation = "CONSUMER.INFO." + config_.stream + "." + input.look.consumer;
  ApiAnswer answer = call_jetstream(*client_, operation, "", timeout_ms);
  if (answer.is_error(kConsumerNotFound)) {
    if (!make_consumer(input)) return false;
    answer = call_jetstream(*client_, operation, "", timeout_ms);
  }
  if (answer.state != ApiAnswer::State::ok) return note(input, answer, "could not be looked up");
  const Json* const config = object_in(answer.body, "config");
  if (config == nullptr) {
    answer.error.description = "the server's answer has no configuration";
    return note(input, answer, "could not be looked up");
  }
  if (!input.is_settled && !settle(input, *config)) return false;

  const Json* const delivered = object_in(answer.body, "delivered");
  const Json* const floor = object_in(answer.body, "ack_floor");
  ConsumerLook& look = input.look;
  look.pending = count_in(&answer.body, "num_pending");
  look.ack_pending = count_in(&answer.body, "num_ack_pending");
  look.redelivered = count_in(&answer.body, "num_redelivered");
  look.acknowledged_to = count_in(floor, "stream_seq");
  input.expiry.on_look(count_in(delivered, "consumer_seq"), count_in(delivered, "stream_seq"), stream_.first);
  look.trouble.clear();
  look.is_ready = true;
  return true;
}

bool JetStreamConsumer::make_consumer(Input& input) {
  Json config{{"durable_name", input.look.consumer},
              {"deliver_policy", config_.only_new ? "new" : "all"},
              {"ack_policy", "explicit"},
              {"ack_wait", uint64_t{config_.ack_wait_ms} * kNsPerMs},
              {"max_deliver", -1},
              {"filter_subject", input.look.subject},
              {"replay_policy", "instant"},
              {"max_waiting", kMaxWaiting},
              {"max_ack_pending", config_.max_ack_pending}};
  // Somebody has deleted the one that we knew: what it had done is not done again.
  if (const uint64_t done = input.look.acknowledged_to; done != 0 && done <= stream_.last) {
    config["deliver_policy"] = "by_start_sequence";
    config["opt_start_seq"] = done + 1;
  }
  const ApiAnswer answer =
      call_jetstream(*client_, "CONSUMER.DURABLE.CREATE." + config_.stream + "." + input.look.consumer,
                     Json{{"stream_name", config_.stream}, {"config", std::move(config)}}.dump(),
                     static_cast<int>(config_.api_timeout_ms));
  if (answer.state != ApiAnswer::State::ok) return note(input, answer, "could not be made");
  ++input.look.made;
  input.is_settled = true;
  input.expiry.forget();
  input.outstanding = 0;
  return true;
}

/// Refuses what is not ours, and gives one of ours that was made with other settings those of the configuration.
bool JetStreamConsumer::settle(Input& input, const Json& config) {
  const auto refuse = [&](const std::string& why) {
    input.look.is_ready = false;
    input.look.trouble = "consumer " + input.look.consumer + " of stream " + config_.stream + " " + why +
                         "; choose another source.consumer, or remove it: nats consumer rm " + config_.stream + " " +
                         input.look.consumer;
    return false;
  };
  if (const auto push = text_in(config, "deliver_subject"); push && !push->empty()) {
    return refuse("pushes to " + *push + " and cannot be asked");
  }
  if (text_in(config, "ack_policy").value_or("") != "explicit") return refuse("does not want each message acknowledged");
  if (text_in(config, "filter_subject").value_or("") != input.look.subject) {
    return refuse("has the subject " + text_in(config, "filter_subject").value_or("of the whole stream") + ", not " +
                  input.look.subject);
  }
  if (const auto only = config.find("headers_only"); only != config.end() && only->is_boolean() && only->get<bool>()) {
    return refuse("delivers headers only (headers_only)");
  }
  // Less than what is asked for is refused as a whole, at once and for ever.
  for (const char* const bound : {"max_batch", "max_expires", "max_bytes"}) {
    if (number_in(config, bound).value_or(0) > 0) return refuse(std::string("bounds what may be asked for (") + bound + ")");
  }
  const Json wanted{{"ack_wait", uint64_t{config_.ack_wait_ms} * kNsPerMs},
                    {"max_deliver", -1},
                    {"max_ack_pending", config_.max_ack_pending}};
  bool differs = false;
  for (const auto& [key, value] : wanted.items()) differs |= number_in(config, key.c_str()) != number_in(wanted, key.c_str());
  if (differs) {
    Json ours = config;
    ours.update(wanted);
    const ApiAnswer answer =
        call_jetstream(*client_, "CONSUMER.DURABLE.CREATE." + config_.stream + "." + input.look.consumer,
                       Json{{"stream_name", config_.stream}, {"config", std::move(ours)}}.dump(),
                       static_cast<int>(config_.api_timeout_ms));
    if (answer.state != ApiAnswer::State::ok) return note(input, answer, "its settings could not be changed");
  }
  input.is_settled = true;
  return true;
}

// ------------------------------------------------------------------------------------ messages

uint32_t JetStreamConsumer::outstanding(uint32_t i, uint64_t now_ns) noexcept {
  Input& input = inputs_[i];
  if (input.outstanding != 0 && now_ns >= input.asked_until_ns) input.outstanding = 0;
  return input.outstanding;
}

void JetStreamConsumer::ask(uint32_t i, uint32_t messages, uint64_t now_ns) {
  Input& input = inputs_[i];
  if (!input.look.is_ready || messages == 0 || !client_->connected() || now_ns < input.asks_from_ns) return;
  // One that is larger than what may come at once would never come.
  const uint64_t octets = std::max<uint64_t>(config_.octets_asked_max, 2 * client_->payload_max());
  std::string body = Json{{"batch", messages}, {"expires", kExpiresMs * kNsPerMs}, {"max_bytes", octets}}.dump();
  const std::string subject = "$JS.API.CONSUMER.MSG.NEXT." + config_.stream + "." + input.look.consumer;
  input.token = ++requests_ * kConsumerInputsMax + i;
  const auto* octets_of_body = reinterpret_cast<const uint8_t*>(body.data());
  if (client_->publish(subject.c_str(), input.token, {octets_of_body, body.size()}, {}) != Sent::sent) return;
  input.outstanding = messages;
  input.asked_until_ns = now_ns + (kExpiresMs + kExpiresGraceMs) * kNsPerMs;
}

void JetStreamConsumer::take(std::vector<Delivery>& deliveries, int wait_ms) {
  client_->take_replies(replies_, wait_ms);
  for (NatsReply& reply : replies_) {
    const auto place = parse_ack_subject(reply.reply());
    if (!place) {
      on_status(reply);
      continue;
    }
    const auto found = std::find_if(inputs_.begin(), inputs_.end(),
                                    [&](const Input& input) { return input.look.consumer == place->consumer; });
    if (found == inputs_.end()) continue;  // nobody that we asked
    if (found->outstanding > 0) --found->outstanding;
    if (place->deliveries == 1) {
      found->look.expired_in_stream +=
          found->expiry.on_delivery(place->consumer_sequence, place->stream_sequence, found->look.takes_whole_stream);
    }
    deliveries.push_back({std::move(reply), static_cast<uint32_t>(found - inputs_.begin()), place->deliveries,
                          place->stream_sequence, place->stored_ns});
  }
  replies_.clear();
}

/// The end of a request: it has brought what it could (404, 408, 409), or nobody has it (503).
void JetStreamConsumer::on_status(const NatsReply& reply) {
  uint64_t token = 0;
  if (!NatsClient::token_of(reply, token)) return;
  Input& input = inputs_[token % kConsumerInputsMax % inputs_.size()];
  if (input.token != token) return;
  input.outstanding = 0;
  const char* const status = reply.header("Status");
  const std::string_view code = status == nullptr ? std::string_view() : std::string_view(status);
  if (code == "404" || code == "408") return;
  // 409: the consumer was deleted, its leader changed, or the next message exceeds what was asked for.
  const char* const description = reply.header("Description");
  const bool is_bound = description != nullptr && std::string_view(description).find("MaxBytes") != std::string_view::npos;
  if (!is_bound) {
    // What is refused at once would be refused at once again: not before it has been looked at.
    input.asks_from_ns = steady_clock_ns() + backoff_.jittered(kLookWaitMs * kNsPerMs);
    next_look_ns_ = std::min(next_look_ns_, input.asks_from_ns);
    if (reply.no_responders()) input.look.is_ready = false;
  }
}

bool JetStreamConsumer::acknowledge(std::string_view reply) {
  return client_->send(reply, "+ACK") != Sent::not_connected;
}

bool JetStreamConsumer::give_back(std::string_view reply, uint32_t delay_ms) {
  return client_->send(reply, delay_ms == 0 ? std::string("-NAK")
                                                      : "-NAK {\"delay\": " + std::to_string(delay_ms * kNsPerMs) + "}") !=
         Sent::not_connected;
}

bool JetStreamConsumer::prolong(std::string_view reply) {
  return client_->send(reply, "+WPI") != Sent::not_connected;
}

}  // namespace weir::outbound
