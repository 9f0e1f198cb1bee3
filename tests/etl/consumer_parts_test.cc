// What a consumer goes by that needs no server.
#include <gtest/gtest.h>

#include "export/expiry_watch.h"
#include "export/jetstream_consumer.h"
#include "feed/taken_up.h"

namespace weir::feed {
namespace {

using Texts = std::vector<std::string>;

TEST(TakenUp, IsToldByWhatIsInTheFiles) {
  struct Case {
    FilesIdentity now, wanted;
    Texts keys;
    bool is_other;
    Texts applied;
  };
  const std::string one(64, '1'), two(64, '2');
  const Case cases[] = {
      {{one, "a"}, {one, "a"}, {}, false, {}},
      {{one, "a"}, {two, "a"}, {}, true, {"rules (222222222222)"}},
      {{one, "a"}, {one, "b"}, {"enrichment.threats"}, true, {"enrichment"}},
      {{one, "a"}, {two, "b"}, {"rules", "log.level"}, true, {"rules (222222222222)", "enrichment", "log.level"}},
      {{one, "a"}, {"", ""}, {"rules", "enrichment.threats"}, true, {"no rules", "no enrichment"}},
      {{one, ""}, {one, ""}, {"rules"}, true, {"rules"}},  // another file that says the same
      {{one, ""}, {one, ""}, {"log.level"}, false, {"log.level"}},
      {{one, ""}, {one, ""}, {"ocsf.product_name"}, true, {"ocsf.product_name"}},
  };
  for (const Case& c : cases) {
    service::ReloadView view;
    Texts keys = c.keys;
    keys.push_back("source.consumer");
    EXPECT_EQ(tell_taken_up(c.now, c.wanted, keys, "ocsf.", view), c.is_other);
    EXPECT_EQ(view.applied, c.applied);
    EXPECT_EQ(view.needs_restart, Texts{"source.consumer"});
  }
  service::ReloadView view;
  EXPECT_FALSE(tell_taken_up({one, ""}, {one, ""}, {"ocsf.product_name", "log.level"}, "", view)) << "of a program that makes no events";
  EXPECT_EQ(view.applied, Texts{"log.level"});
  EXPECT_EQ(view.needs_restart, Texts{"ocsf.product_name"});
}

}  // namespace
}  // namespace weir::feed

namespace weir::outbound {
namespace {

TEST(AckSubject, SaysWhichMessageItIs) {
  const auto place = parse_ack_subject("$JS.ACK.events.weir-etl-flows-raw-any.3.1042.977.1700000000000000000.12");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->stream, "events");
  EXPECT_EQ(place->consumer, "weir-etl-flows-raw-any");
  EXPECT_EQ(place->deliveries, 3u);
  EXPECT_EQ(place->stream_sequence, 1042u);
  EXPECT_EQ(place->consumer_sequence, 977u);
  EXPECT_EQ(place->stored_ns, 1'700'000'000'000'000'000u);
}

TEST(AckSubject, IsReadWithDomainAndAccountToo) {
  const auto place = parse_ack_subject("$JS.ACK.hub.ACCHASH.events.etl.1.7.5.1700000000000000000.0.TOKEN");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->stream, "events");
  EXPECT_EQ(place->consumer, "etl");
  EXPECT_EQ(place->stream_sequence, 7u);
  EXPECT_EQ(place->consumer_sequence, 5u);
  EXPECT_EQ(place->stored_ns, 1'700'000'000'000'000'000u);
}

TEST(AckSubject, IsNoneThatAnybodyElseMade) {
  for (const char* text : {"", "_INBOX.abc.1", "$JS.ACK.events.etl.1.7.5.1", "$JS.ACK.events.etl.x.7.5.1.0",
                           "$JS.NAK.events.etl.1.7.5.1.0", "$JS.ACK.events.etl.1.7.5.1.0.1", "$JS.ACK.events.etl.-1.7.5.1.0",
                           "$JS.ACK.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t"}) {
    EXPECT_FALSE(parse_ack_subject(text)) << text;
  }
}

TEST(ConsumerName, HasNothingThatAConsumerMayNotHave) {
  EXPECT_EQ(consumer_name("weir-etl", "flows.raw.*"), "weir-etl-flows-raw-any");
  EXPECT_EQ(consumer_name("weir-etl", "flows.>"), "weir-etl-flows-all");
  EXPECT_EQ(consumer_name("e", "a.b/c$d"), "e-a-b_c_d");
}

TEST(ExpiryWatch, CountsNothingWhereNothingIsMissing) {
  ExpiryWatch watch;
  watch.on_look(0, 0, 1);
  for (uint64_t i = 1; i <= 10; ++i) EXPECT_EQ(watch.on_delivery(i, i, true), 0u);
}

TEST(ExpiryWatch, BeginsWhereItsFirstMessageIs) {
  ExpiryWatch watch;
  watch.on_look(0, 0, 500);
  EXPECT_EQ(watch.on_delivery(1, 500, true), 0u);
  EXPECT_EQ(watch.on_delivery(2, 503, true), 2u);
}

TEST(ExpiryWatch, TellsOtherSubjectsFromWhatIsGone) {
  ExpiryWatch watch;
  watch.on_look(4, 10, 1);
  EXPECT_EQ(watch.on_delivery(5, 20, false), 0u);  // the stream has all that lies between
  watch.on_look(5, 20, 28);
  EXPECT_EQ(watch.on_delivery(6, 30, false), 7u);  // 21 to 27
  EXPECT_EQ(watch.on_delivery(7, 31, false), 0u);
}

TEST(ExpiryWatch, LeavesToOthersWhatLiesBeforeTheirs) {
  ExpiryWatch watch;
  watch.on_look(4, 10, 1);
  EXPECT_EQ(watch.on_delivery(7, 20, true), 0u);  // somebody else had 5 and 6
  EXPECT_EQ(watch.on_delivery(8, 23, true), 2u);
}

TEST(ExpiryWatch, IsNotMisledByAPurgeThatMovesTheConsumer) {
  ExpiryWatch watch;
  watch.on_look(4, 10, 1);
  watch.on_look(4, 15, 16);  // the server counts what it purged as delivered
  EXPECT_EQ(watch.on_delivery(5, 16, true), 5u);
}

TEST(ExpiryWatch, CountsEachGapOnce) {
  ExpiryWatch watch;
  watch.on_look(4, 10, 20);
  watch.on_look(4, 10, 25);
  EXPECT_EQ(watch.on_delivery(5, 25, true), 14u);
  EXPECT_EQ(watch.on_delivery(5, 25, true), 0u);
  watch.on_look(5, 25, 25);
  EXPECT_EQ(watch.on_delivery(6, 26, true), 0u);
}

}  // namespace
}  // namespace weir::outbound
