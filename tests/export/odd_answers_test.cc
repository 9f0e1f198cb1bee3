// What answers on JetStream's subjects need not be JetStream: nothing that comes may throw, and nothing
// that exists may be changed because of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nats/nats.h>

#include <mutex>
#include <string>
#include <vector>

#include "export/jetstream_stream.h"
#include "support/nats_server.h"

namespace weir::outbound {
namespace {

using test::NatsServer;
using ::testing::HasSubstr;
using State = StreamCheck::State;

/// A server without JetStream, and a client that answers in its place: always the same.
class Impostor {
 public:
  explicit Impostor(const NatsServer& server) {
    natsConnection_ConnectTo(&connection_, server.url().c_str());
    natsConnection_Subscribe(&subscription_, connection_, "$JS.API.>", on_request, this);
    natsConnection_Flush(connection_);
  }
  ~Impostor() {
    natsSubscription_Destroy(subscription_);
    natsConnection_Destroy(connection_);
  }
  void answer_with(std::string text) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(text);
    asked_.clear();
  }
  std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  static void on_request(natsConnection* nc, natsSubscription*, natsMsg* message, void* closure) {
    auto* self = static_cast<Impostor*>(closure);
    {
      const std::lock_guard lock(self->mutex_);
      self->asked_.emplace_back(natsMsg_GetSubject(message));
      natsConnection_PublishString(nc, natsMsg_GetReply(message), self->answer_.c_str());
    }
    natsMsg_Destroy(message);
  }

  natsConnection* connection_ = nullptr;
  natsSubscription* subscription_ = nullptr;
  std::mutex mutex_;
  std::string answer_;
  std::vector<std::string> asked_;
};

TEST(OddAnswers, AreToldOfAndHarmNothing) {
  if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
  NatsServer server({}, NatsServer::JetStream::off);
  ASSERT_TRUE(server.start());
  Impostor impostor(server);
  auto client = NatsClient::make({.urls = {server.url()}});
  ASSERT_TRUE(client) << client.error().message;
  ASSERT_TRUE((*client)->connect());

  StreamConfig config;
  config.subjects = {"flows.raw.netflow"};
  const struct {
    const char* answer;
    State state;
    const char* trouble;
  } cases[] = {
      {"", State::unknown, "answer is not JSON"},
      {"+OK", State::unknown, "answer is not JSON"},
      {"[]", State::unknown, "answer is not JSON"},
      {"7", State::unknown, "answer is not JSON"},
      {"{}", State::unknown, "no configuration of the stream that makes sense"},
      {R"({"config":[]})", State::unknown, "no configuration"},
      {R"({"config":{"subjects":"flows.>"}})", State::unknown, "no configuration"},
      {R"({"config":{"subjects":[1,2]}})", State::unknown, "no configuration"},
      {R"({"config":{"subjects":["flows.>",{}]}})", State::unknown, "no configuration"},
      {R"({"error":"no"})", State::refused, "no description (JetStream error 0)"},
      {R"({"error":{"err_code":"many","description":7}})", State::refused, "no description"},
      {R"({"error":{"err_code":10059,"description":"stream not found"}})", State::refused,
       "could not be created: stream not found"},
      {R"({"config":{"subjects":["flows.>"],"max_msg_size":"big"}})", State::ready, ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.answer);
    impostor.answer_with(c.answer);
    const StreamCheck check = ensure_stream(**client, config, 2000);
    EXPECT_EQ(check.state, c.state) << check.trouble;
    EXPECT_THAT(check.trouble, HasSubstr(c.trouble));
    EXPECT_EQ(check.message_octets_max, 0u);
    EXPECT_FALSE(check.created);
    for (const std::string& subject : impostor.asked()) {
      EXPECT_THAT(subject, ::testing::Not(HasSubstr("UPDATE")));
    }
  }
}

}  // namespace
}  // namespace weir::outbound
