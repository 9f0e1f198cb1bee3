// http_publisher.h — Batches to a web server: one POST each, or for each of its parts, of JSON lines or of the
// FlowBatch as it is.
//
// Runs on:  publisher_thread; wake, last_error and counters on any.
// Owns:     the connections. A batch stays in its slot, and its octets where they are, until reported.
// Bounds:   window_batches slots; requests_max of them under way, each with one batch's text.
// Failure:  without an answer (not connected, no answer in time, cut off in the middle) and at status 401,
//           408, 425, 429 and 5xx a batch is sent again under the same Idempotency-Key, with exponential
//           back-off and jitter, for as long as it is in flight. Retry-After holds all of them back. At 413
//           a batch goes again in parts, and is too_large where they would be below kPartOctetsMin; any other
//           answer but 2xx is rejected when it has come kRefusalsMax times.
//
// Acknowledged means: the server answered with 2xx. That each batch is stored once is up to the server,
// which knows a batch that comes again by its Idempotency-Key.
#pragma once

#include <map>

#include "export/http_client.h"
#include "export/message_window.h"
#include "export/publisher.h"
#include "export/publisher_parts.h"
#include "export/rotating_file.h"

namespace weir::outbound {

struct HttpPublisherConfig {
  HttpConfig http;
  StreamFormat format = StreamFormat::json;
  Subjects subjects;  // by RouteId, with placeholders: the header Weir-Subject
  RunIdentity identity;
  uint32_t window_batches = 64;
  uint32_t retry_first_ms = 100;
  uint32_t retry_max_ms = 5000;
  uint32_t retry_after_max_secs = 300;  // whatever the server asks for
};

class HttpPublisher final : public Publisher {
 public:
  /// Checks the configuration and reads the files that it names; connecting is poll's business.
  static Result<std::unique_ptr<HttpPublisher>> make(HttpPublisherConfig config);

  std::string_view kind() const noexcept override { return "http"; }
  bool submit(OutboundBatch& batch, OutcomeSink& outcomes) override WEIR_RUNS_ON(publisher_thread);
  void poll(int wait_ms, OutcomeSink& outcomes) override WEIR_RUNS_ON(publisher_thread);
  void drain(const std::atomic<uint64_t>& deadline_steady_ns, OutcomeSink& outcomes) override
      WEIR_RUNS_ON(publisher_thread);
  void wake() noexcept override { client_->wake(); }
  size_t in_flight() const noexcept override { return window_.in_flight(); }
  const PublisherCounters& counters() const noexcept override { return counters_; }
  std::string last_error() const override { return trouble_.text(); }

 private:
  using Token = MessageWindow::Token;

  HttpPublisher(HttpPublisherConfig config, std::unique_ptr<HttpClient> client);

  enum class Draining : bool { no, yes };
  void step(Draining draining, OutcomeSink& outcomes);
  void give_back(uint64_t now_ns, Draining draining, OutcomeSink& outcomes);
  void take_answers(OutcomeSink& outcomes);
  void on_answer(const HttpAnswer& answer, OutcomeSink& outcomes);
  void pump(uint64_t now_ns, OutcomeSink& outcomes);
  void divide(uint32_t index);
  void send(Token token, OutcomeSink& outcomes);
  void probe(uint64_t now_ns);
  void delay(Token token, uint64_t now_ns, DeliveryFailure why);
  void doom(Token token, DeliveryFailure why, OutcomeSink& outcomes);
  void finish(uint32_t index, const Outcome& outcome, OutcomeSink& outcomes);
  int wait_until_due(int wait_ms) const noexcept;

  const HttpPublisherConfig config_;
  const Addressing addressing_;
  const std::unique_ptr<HttpClient> client_;
  PublisherCounters counters_;
  Trouble trouble_;
  Backoff backoff_;
  const MessageFormer former_{Framing::batch, Compression::none};
  MessageWindow window_;
  std::map<Token, std::string> texts_;  // under way, where that is not the batch itself
  // Slots that fail as soon as nothing of them is under way; their octets are in use until then.
  std::map<uint32_t, DeliveryFailure> doomed_;
  uint32_t taken_octets_ = 0;           // the most that was taken of what had to be divided
  uint32_t refused_octets_ = UINT32_MAX;  // the least that was too large
  uint64_t hold_until_ns_ = 0;  // the server asked for a pause
  bool is_probing_ = false;
  uint32_t probes_ = 0;  // without success
  uint64_t next_probe_ns_ = 0;
  bool was_connected_ = false;
};

}  // namespace weir::outbound
