#include "export/message_window.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "export/publisher_parts.h"

namespace weir::outbound {
namespace {

constexpr unsigned kMessageBits = 24;
constexpr unsigned kGenerationBits = 28;
constexpr size_t kDeadlinesSlack = 64;
constexpr uint32_t kMessageMask = (1u << kMessageBits) - 1;
constexpr uint32_t kGenerationMask = (1u << kGenerationBits) - 1;
static_assert(kWindowMessagesMax == kMessageMask);
static_assert(kWindowBatchesMax << (kMessageBits + kGenerationBits) == 0,
              "the slot has the token's upper 12 bits");

}  // namespace

MessageWindow::MessageWindow(uint32_t slots) : slots_(slots) {
  assert(slots <= kWindowBatchesMax);
  for (uint32_t i = slots; i > 0; --i) free_.push_back(i - 1);
}

// ---- batches ----

MessageWindow::Slot& MessageWindow::admit(OutboundBatch& batch, uint64_t now_ns) {
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.batch = &batch;
  slot.generation = (slot.generation + 1) & kGenerationMask;
  slot.open = slot.awaiting = 0;
  slot.numbered = slot.duplicate = slot.was_refused = false;
  slot.trouble = DeliveryFailure::not_connected;
  slot.submitted_ns = now_ns;
  slot.messages.clear();
  undivided_.push_back(index);
  return slot;
}

bool MessageWindow::is_overdue(uint32_t index, uint64_t now_ns, uint64_t patience_ns, uint64_t answers_ns) const noexcept {
  const Slot& slot = slots_[index];
  if (slot.batch == nullptr || patience_ns == kPatientForEver) return false;
  constexpr uint64_t kRefusedAnswers = 8;  // more than the tries
  if (slot.was_refused) return is_older(slot.submitted_ns, patience_ns + kRefusedAnswers * answers_ns, now_ns);
  const bool is_partly_stored = slot.open < slot.messages.size();
  if (slot.awaiting != 0 || is_partly_stored) return is_older(slot.submitted_ns, patience_ns + answers_ns, now_ns);
  return is_older(waits_since_ns(*slot.batch, slot.submitted_ns), patience_ns, now_ns);
}

bool MessageWindow::is_idle_replay(uint32_t index) const noexcept {
  const Slot& slot = slots_[index];
  return slot.batch != nullptr && slot.batch->replayed_as != nullptr && slot.awaiting == 0;
}

bool MessageWindow::awaits_nothing(uint32_t index) const noexcept {
  return slots_[index].batch != nullptr && slots_[index].awaiting == 0;
}

void MessageWindow::move_to(MessageWindow& other, uint32_t index) {
  Slot& from = slots_[index];
  assert(awaits_nothing(index) && !other.is_full());
  if (from.messages.empty()) std::erase(undivided_, index);
  const uint32_t at = other.free_.back();
  other.free_.pop_back();
  Slot& slot = other.slots_[at];
  const uint32_t generation = (slot.generation + 1) & kGenerationMask;
  const uint32_t left = from.generation;
  slot = std::exchange(from, Slot{});
  slot.generation = generation;
  from.generation = left;
  free_.push_back(index);
  if (slot.messages.empty()) other.undivided_.push_back(at);
  for (size_t m = 0; m < slot.messages.size(); ++m) {
    if (slot.messages[m].state == State::acknowledged) continue;
    slot.messages[m].state = State::queued;
    other.ready_.push_back(other.token_of(at, m));
  }
  if (in_flight() != 0) return;
  // Nothing that these are about is here any more: a window that is never emptied by sending would keep them.
  ready_.clear();
  deadlines_.clear();
  delayed_ = {};
}

OutboundBatch* MessageWindow::remove(uint32_t index) noexcept {
  Slot& slot = slots_[index];
  // Its place among those not yet divided goes with it, so that the list stays within the window.
  if (slot.messages.empty()) std::erase(undivided_, index);
  awaiting_ -= slot.awaiting;
  slot.awaiting = 0;
  OutboundBatch* const batch = std::exchange(slot.batch, nullptr);
  slot.messages.clear();
  free_.push_back(index);
  return batch;
}

std::optional<uint32_t> MessageWindow::take_undivided() {
  if (undivided_.empty()) return {};
  const uint32_t index = undivided_.front();
  undivided_.pop_front();
  return index;
}

bool MessageWindow::divide(uint32_t index, const MessageFormer& former, size_t octets_max) {
  Slot& slot = slots_[index];
  const OutboundBatch& batch = *slot.batch;
  if (!former.divide(batch, {0, batch.octets, batch.records}, octets_max, slices_)) return false;
  // An empty batch is a message too: its submitter waits for an outcome.
  if (slices_.empty()) slices_.push_back({});
  assert(slices_.size() <= kWindowMessagesMax);
  slot.numbered = is_record_a_message(former.framing_of(batch.kind)) || slices_.size() > 1;
  add_messages(index);
  return true;
}

bool MessageWindow::divide_further(Token token, const MessageFormer& former, size_t octets_max) {
  const Found found = find(token);
  Slot& slot = *found.slot;
  const size_t limit = std::min<size_t>(octets_max, found.message->slice.octets - 1);
  if (is_record_a_message(former.framing_of(slot.batch->kind)) ||
      !former.divide(*slot.batch, found.message->slice, limit, slices_) || slices_.size() < 2 ||
      slot.messages.size() + slices_.size() > kWindowMessagesMax) {
    return false;
  }
  slot.numbered = true;
  end_awaiting(found);
  found.message->state = State::acknowledged;  // by its parts
  --slot.open;
  add_messages(found.index);
  return true;
}

void MessageWindow::add_messages(uint32_t index) {
  Slot& slot = slots_[index];
  slot.open += static_cast<uint32_t>(slices_.size());
  for (const MessageSlice& slice : slices_) {
    ready_.push_back(token_of(index, slot.messages.size()));
    slot.messages.push_back({slice});
  }
}

// ---- messages ----

MessageWindow::Token MessageWindow::token_of(uint32_t index, size_t message) const noexcept {
  return Token{index} << (kMessageBits + kGenerationBits) |
         Token{slots_[index].generation} << kMessageBits | message;
}

MessageWindow::Found MessageWindow::find(Token token) noexcept {
  const auto index = static_cast<uint32_t>(token >> (kMessageBits + kGenerationBits));
  const auto generation = static_cast<uint32_t>(token >> kMessageBits) & kGenerationMask;
  const auto number = static_cast<uint32_t>(token) & kMessageMask;
  if (index >= slots_.size()) return {};
  Slot& slot = slots_[index];
  if (slot.batch == nullptr || slot.generation != generation || number >= slot.messages.size()) {
    return {};
  }
  return {&slot, &slot.messages[number], index};
}

std::optional<MessageWindow::Token> MessageWindow::take_queued() {
  while (!ready_.empty()) {
    const Token token = ready_.front();
    ready_.pop_front();
    const Found found = find(token);
    if (found && found.message->state == State::queued) return token;
  }
  return {};
}

void MessageWindow::note_sent(Token token, uint64_t due_ns) {
  const Found found = find(token);
  Message& message = *found.message;
  if (message.attempts < UINT16_MAX) ++message.attempts;
  message.state = State::awaiting;
  message.due_ns = due_ns;
  if (due_ns != kNoTimeOut) deadlines_.push_back({due_ns, token});
  ++found.slot->awaiting;
  ++awaiting_;
  if (deadlines_.size() <= 2 * awaiting_ + kDeadlinesSlack) return;
  // One without an answer at the head keeps those behind it that have theirs: a time-out's worth of messages.
  std::erase_if(deadlines_, [this](const Due& due) {
    const Found other = find(due.token);
    return !other || other.message->state != State::awaiting || other.message->due_ns != due.at_ns;
  });
}

void MessageWindow::end_awaiting(const Found& found) noexcept {
  if (found.message->state != State::awaiting) return;
  --found.slot->awaiting;
  --awaiting_;
}

void MessageWindow::give_up(Token token) noexcept {
  const Found found = find(token);
  end_awaiting(found);
  found.message->state = State::acknowledged;
}

bool MessageWindow::note_acknowledged(Token token) noexcept {
  const Found found = find(token);
  end_awaiting(found);
  found.message->state = State::acknowledged;
  return --found.slot->open == 0;
}

void MessageWindow::delay(Token token, uint64_t until_ns, DeliveryFailure why) {
  const Found found = find(token);
  assert(found.message->state == State::awaiting);
  end_awaiting(found);
  found.slot->trouble = why;
  found.message->state = State::delayed;
  found.message->due_ns = until_ns;
  delayed_.push({until_ns, token});
}

void MessageWindow::queue_awaiting(DeliveryFailure why) {
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.batch == nullptr || slot.awaiting == 0) continue;
    slot.trouble = why;
    for (size_t m = 0; m < slot.messages.size(); ++m) {
      if (slot.messages[m].state != State::awaiting) continue;
      slot.messages[m].state = State::queued;
      --slot.awaiting;
      --awaiting_;
      ready_.push_back(token_of(i, m));
    }
  }
}

// ---- time ----

std::optional<MessageWindow::Token> MessageWindow::take_timed_out(uint64_t now_ns) {
  while (!deadlines_.empty()) {
    const Due due = deadlines_.front();
    const Found found = find(due.token);
    const bool is_current = found && found.message->state == State::awaiting &&
                            found.message->due_ns == due.at_ns;
    if (is_current && due.at_ns > now_ns) return {};
    deadlines_.pop_front();
    if (is_current) return due.token;
  }
  return {};
}

void MessageWindow::queue_due(uint64_t now_ns) {
  while (!delayed_.empty() && delayed_.top().at_ns <= now_ns) {
    const Token token = delayed_.top().token;
    delayed_.pop();
    const Found found = find(token);
    if (!found || found.message->state != State::delayed) continue;
    found.message->state = State::queued;
    ready_.push_back(token);
  }
}

uint64_t MessageWindow::next_due_ns() const noexcept {
  uint64_t due = ~uint64_t{0};
  if (!deadlines_.empty()) due = std::min(due, deadlines_.front().at_ns);
  if (!delayed_.empty()) due = std::min(due, delayed_.top().at_ns);
  return due;
}

}  // namespace weir::outbound
