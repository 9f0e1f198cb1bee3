#include "export/message_window.h"

#include <gtest/gtest.h>

#include <set>

#include "support/batches.h"

namespace weir::outbound {
namespace {

using test::BatchBox;
using State = MessageWindow::State;

class MessageWindowTest : public ::testing::Test {
 protected:
  /// Admits it and makes its messages.
  void admit(BatchBox& box, size_t octets_max = SIZE_MAX, uint64_t now_ns = 1) {
    window_.admit(box.batch, now_ns).id = "id";
    const auto index = window_.take_undivided();
    ASSERT_TRUE(index);
    ASSERT_TRUE(window_.divide(*index, former_, octets_max));
  }
  MessageWindow::Token send(uint64_t due_ns = 100) {
    const auto token = window_.take_queued();
    EXPECT_TRUE(token);
    window_.note_sent(*token, due_ns);
    return *token;
  }

  MessageFormer former_{Framing::batch, Compression::none};
  MessageWindow window_{2};
};

TEST_F(MessageWindowTest, HasRoomForItsSlotsAndFindsNothingOfABatchThatIsGone) {
  BatchBox one(1, 3), two(2, 3), three(3, 3);
  admit(one);
  const auto old = send();
  admit(two);
  EXPECT_TRUE(window_.is_full());
  EXPECT_EQ(window_.in_flight(), 2u);
  EXPECT_TRUE(window_.note_acknowledged(old));
  EXPECT_EQ(window_.remove(window_.find(old).index), &one.batch);
  EXPECT_EQ(window_.in_flight(), 1u);
  EXPECT_EQ(window_.awaiting(), 0u);
  EXPECT_FALSE(window_.find(old));
  admit(three);  // takes the slot of the first
  EXPECT_FALSE(window_.find(old)) << "a late answer meets nobody else";
  EXPECT_FALSE(window_.find(~MessageWindow::Token{0}));
}

TEST_F(MessageWindowTest, ABatchIsAcknowledgedWhenAllOfItsPartsAre) {
  BatchBox box(1, 40);
  admit(box, box.octets.size() / 4);
  std::set<MessageWindow::Token> tokens;
  uint64_t records = 0;
  while (window_.has_to_send()) {
    const auto token = send();
    EXPECT_TRUE(tokens.insert(token).second);
    records += window_.find(token).message->slice.records;
  }
  EXPECT_GE(tokens.size(), 4u);
  EXPECT_EQ(records, 40u);
  EXPECT_TRUE(window_.slot(0).numbered);
  size_t left = tokens.size();
  for (const auto token : tokens) EXPECT_EQ(window_.note_acknowledged(token), --left == 0);
}

TEST_F(MessageWindowTest, GivesBackWhatIsStoredInPartOrRefusedLaterThanWhatIsNot) {
  constexpr uint64_t kPatience = 1000, kAnswers = 100;
  BatchBox box(1, 40);
  box.batch.sealed_steady_ns = 1;
  admit(box, box.octets.size() / 4);
  EXPECT_FALSE(window_.is_overdue(0, kPatience, kPatience, kAnswers));
  EXPECT_TRUE(window_.is_overdue(0, kPatience + 2, kPatience, kAnswers));
  EXPECT_FALSE(window_.note_acknowledged(send()));
  EXPECT_FALSE(window_.is_overdue(0, kPatience + kAnswers, kPatience, kAnswers)) << "its first part would be stored twice";
  EXPECT_TRUE(window_.is_overdue(0, kPatience + kAnswers + 2, kPatience, kAnswers));
  window_.slot(0).was_refused = true;
  EXPECT_FALSE(window_.is_overdue(0, kPatience + 5 * kAnswers, kPatience, kAnswers)) << "it is to hear five";
  EXPECT_TRUE(window_.is_overdue(0, kPatience + 10 * kAnswers, kPatience, kAnswers));
}

TEST_F(MessageWindowTest, PartsTakeTheirMessagesPlace) {
  BatchBox box(1, 40);
  admit(box);
  EXPECT_FALSE(window_.slot(0).numbered);
  const auto whole = window_.take_queued();
  ASSERT_TRUE(whole);
  ASSERT_TRUE(window_.divide_further(*whole, former_, box.octets.size() / 2));
  EXPECT_EQ(window_.find(*whole).message->state, State::acknowledged);
  size_t parts = 0;
  bool is_done = false;
  while (window_.has_to_send()) {
    EXPECT_FALSE(is_done);
    is_done = window_.note_acknowledged(send());
    ++parts;
  }
  EXPECT_TRUE(is_done);
  EXPECT_GE(parts, 2u);

  BatchBox small(2, 1);
  admit(small);
  EXPECT_FALSE(window_.divide_further(*window_.take_queued(), former_, 1)) << "a record has no parts";
}

TEST_F(MessageWindowTest, TellsWhatHasTimedOutOnceAndQueuesWhatWasDelayed) {
  BatchBox one(1, 3), two(2, 3);
  admit(one);
  admit(two);
  const auto first = send(100), second = send(200);
  EXPECT_EQ(window_.next_due_ns(), 100u);
  EXPECT_FALSE(window_.take_timed_out(99));
  EXPECT_EQ(window_.take_timed_out(150), first);
  EXPECT_FALSE(window_.take_timed_out(150));
  window_.delay(first, 300, DeliveryFailure::timed_out);
  EXPECT_EQ(window_.awaiting(), 1u);
  EXPECT_TRUE(window_.note_acknowledged(second));
  window_.remove(window_.find(second).index);
  EXPECT_FALSE(window_.take_timed_out(1000)) << "it has its answer";
  EXPECT_EQ(window_.next_due_ns(), 300u);
  window_.queue_due(299);
  EXPECT_FALSE(window_.has_to_send());
  window_.queue_due(300);
  EXPECT_EQ(window_.take_queued(), first);
  EXPECT_EQ(window_.next_due_ns(), ~uint64_t{0});
}

TEST_F(MessageWindowTest, KeepsNoDeadlineForEachMessageThatOneWithoutAnAnswerOutlasts) {
  BatchBox stuck(1, 3), other(2, 3);
  admit(stuck);
  const auto waits = send(1'000'000);
  for (uint64_t i = 0; i < 10'000; ++i) {
    admit(other);
    const auto token = send(1'000'001 + i);
    ASSERT_TRUE(window_.note_acknowledged(token));
    window_.remove(window_.find(token).index);
  }
  EXPECT_LE(window_.deadlines(), 128u);
  EXPECT_EQ(window_.next_due_ns(), 1'000'000u);
  EXPECT_EQ(window_.take_timed_out(1'000'000), waits);
}

TEST_F(MessageWindowTest, QueuesWhatIsUnansweredWhenTheConnectionIsLost) {
  BatchBox one(1, 40), two(2, 3);
  admit(one, one.octets.size() / 2);
  admit(two);
  const auto answered = send();
  while (window_.has_to_send()) send();
  const size_t sent = window_.awaiting();
  EXPECT_FALSE(window_.note_acknowledged(answered));
  window_.queue_awaiting(DeliveryFailure::not_connected);
  EXPECT_EQ(window_.awaiting(), 0u);
  size_t again = 0;
  while (const auto token = window_.take_queued()) {
    EXPECT_NE(*token, answered);
    EXPECT_EQ(window_.find(*token).message->attempts, 1u);
    ++again;
  }
  EXPECT_EQ(again, sent - 1);
}

TEST_F(MessageWindowTest, ABatchGoesToAnotherWindowWithWhatIsKnownOfIt) {
  BatchBox parted(1, 40), whole(2, 3), undivided(3, 3);
  MessageWindow from{3}, to{3};
  const auto admit = [&](BatchBox& box, size_t octets_max) {
    from.admit(box.batch, 1).id = "id of " + std::to_string(box.batch.sequence);
    ASSERT_TRUE(from.divide(*from.take_undivided(), former_, octets_max));
  };
  admit(parted, parted.octets.size() / 4);
  admit(whole, SIZE_MAX);
  const auto first = from.take_queued(), second = from.take_queued();
  from.note_sent(*first, 100);
  from.note_sent(*second, 100);
  EXPECT_FALSE(from.note_acknowledged(*first));
  const auto parts = from.find(*first).slot->messages.size();
  const uint32_t slot = from.find(*first).index;
  EXPECT_FALSE(from.awaits_nothing(slot)) << "the second part";
  from.delay(*second, 50, DeliveryFailure::rejected);
  from.find(*second).message->rejections = 2;
  from.find(*second).slot->was_refused = true;
  ASSERT_TRUE(from.awaits_nothing(slot));
  from.move_to(to, slot);
  EXPECT_FALSE(from.find(*first)) << "a late answer is nobody's any more";
  from.admit(undivided.batch, 1);
  for (uint32_t i = 0; i < from.slots(); ++i) {
    if (from.awaits_nothing(i)) from.move_to(to, i);
  }
  EXPECT_EQ(from.in_flight(), 0u);
  EXPECT_FALSE(from.has_to_send());
  EXPECT_EQ(from.next_due_ns(), MessageWindow::kNoTimeOut) << "nothing is left of what was delayed";
  EXPECT_TRUE(to.is_full());

  size_t sent = 0, refused = 0;
  while (const auto token = to.take_queued()) {
    const auto found = to.find(*token);
    EXPECT_EQ(found.slot->id, "id of " + std::to_string(found.slot->batch->sequence));
    refused += found.message->rejections;
    to.note_sent(*token, 100);
    ++sent;
  }
  EXPECT_EQ(sent, parts - 1 + 1) << "the acknowledged part not again";
  EXPECT_EQ(refused, 2u);
  const auto index = to.take_undivided();
  ASSERT_TRUE(index);
  EXPECT_EQ(to.slot(*index).batch, &undivided.batch);
}

TEST_F(MessageWindowTest, ABatchThatIsGoneIsNotMadeIntoMessages) {
  BatchBox one(1, 3), two(2, 3);
  window_.admit(one.batch, 1);
  EXPECT_TRUE(window_.has_to_send());
  window_.remove(0);
  EXPECT_FALSE(window_.has_to_send());
  admit(two);
  EXPECT_EQ(window_.find(send()).slot->batch, &two.batch);
}

}  // namespace
}  // namespace weir::outbound
