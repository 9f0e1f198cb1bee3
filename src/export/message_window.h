// message_window.h — What a publisher has in hand whose broker answers to each message: batches in slots, the
// messages that they were made into, and when each is due.
//
// Runs on:  publisher_thread. Sends nothing and asks no clock.
// Bounds:   as many batches as there are slots (at most kWindowBatchesMax), and of each kWindowMessagesMax
//           messages. A batch is its submitter's.
//
// A message is queued until it is sent, then awaits its answer, and is acknowledged, or delayed and queued again.
#pragma once

#include <deque>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include "export/framing.h"
#include "export/publisher.h"

namespace weir::outbound {

inline constexpr size_t kWindowBatchesMax = 4096;
inline constexpr size_t kWindowMessagesMax = (1u << 24) - 1;  // a record takes at least 2 octets

class MessageWindow {
 public:
  /// Slot, its generation (so that a late answer meets nobody else) and message, in 64 bits.
  using Token = uint64_t;

  enum class State : uint8_t {
    queued,
    delayed,
    awaiting,  // sent; due_ns is the end of its time-out
    acknowledged,
  };
  struct Message {
    MessageSlice slice;
    uint16_t attempts = 0;
    uint8_t rejections = 0;
    State state = State::queued;
    bool was_too_large = false;  // the broker said so: it goes again in parts, or not at all
    uint64_t due_ns = 0;
  };
  struct Slot {
    OutboundBatch* batch = nullptr;  // null: free
    uint32_t generation = 0;
    uint32_t open = 0;  // messages not acknowledged
    uint32_t awaiting = 0;
    bool numbered = false;  // ids end in the message's number, or in those of its records
    bool duplicate = false;
    bool was_refused = false;  // one of its messages, by a definite no, which is counted
    DeliveryFailure trouble = DeliveryFailure::not_connected;  // the last reason not to be done
    /// The same of one that another try may deliver.
    DeliveryFailure passing_trouble() const noexcept { return is_final(trouble) ? DeliveryFailure::timed_out : trouble; }
    uint64_t submitted_ns = 0;
    std::string id;
    std::string subject;
    std::vector<Message> messages;
  };
  /// A message that there is, until its slot changes.
  struct Found {
    Slot* slot = nullptr;
    Message* message = nullptr;
    uint32_t index = 0;  // of the slot
    explicit operator bool() const noexcept { return message != nullptr; }
  };

  static constexpr uint64_t kNoTimeOut = ~uint64_t{0};

  explicit MessageWindow(uint32_t slots);

  bool is_full() const noexcept { return free_.empty(); }
  size_t in_flight() const noexcept { return slots_.size() - free_.size(); }
  size_t awaiting() const noexcept { return awaiting_; }
  bool has_to_send() const noexcept { return !ready_.empty() || !undivided_.empty(); }
  uint32_t slots() const noexcept { return static_cast<uint32_t>(slots_.size()); }
  Slot& slot(uint32_t index) noexcept { return slots_[index]; }

  /// Into a free slot, which there must be; its id and subject are the caller's to set.
  Slot& admit(OutboundBatch& batch, uint64_t now_ns);
  /// Whether its submitter wants a batch back (Publisher::set_patience): one of which nothing awaits an answer, or which
  /// is not done `answers_ns` after that. One that is stored in part would be stored twice, and one that was refused would begin
  /// its count of refusals anew: the first has as long, the second as long as its tries take.
  bool is_overdue(uint32_t index, uint64_t now_ns, uint64_t patience_ns, uint64_t answers_ns) const noexcept;
  /// One that came from a spool, of which nothing awaits an answer.
  bool is_idle_replay(uint32_t index) const noexcept;
  /// Has a batch, and no answer to any of its messages is awaited.
  bool awaits_nothing(uint32_t index) const noexcept;
  /// Such a batch goes into a free slot of another window, which there must be, with its messages as they are: the same
  /// parts under the same ids, those acknowledged not again, those refused with their refusals.
  void move_to(MessageWindow& other, uint32_t index);
  /// The slot's batch is over; none of its tokens is found from now on.
  OutboundBatch* remove(uint32_t index) noexcept;

  /// The oldest batch that has no messages yet.
  std::optional<uint32_t> take_undivided();
  /// Makes its messages, of at most `octets_max` octets, and queues them; false when a record alone is larger.
  bool divide(uint32_t index, const MessageFormer& former, size_t octets_max);
  /// The limit has become smaller: puts a message's parts in its place; false where it has none.
  bool divide_further(Token token, const MessageFormer& former, size_t octets_max);

  std::optional<Token> take_queued();
  void put_back(Token token) { ready_.push_front(token); }
  /// The message that a token means; nothing when its batch is gone.
  Found find(Token token) noexcept;

  /// kNoTimeOut: an answer comes whatever happens.
  void note_sent(Token token, uint64_t due_ns);
  /// Whether that was the last one of its batch.
  bool note_acknowledged(Token token) noexcept;
  /// It awaits no answer, and nothing else becomes of it.
  void give_up(Token token) noexcept;
  /// Of one that awaits its answer.
  void delay(Token token, uint64_t until_ns, DeliveryFailure why);
  /// No answer will come to any that was sent: all of them are queued again.
  void queue_awaiting(DeliveryFailure why);

  /// One whose time-out is over; it awaits its answer until it is delayed or removed.
  std::optional<Token> take_timed_out(uint64_t now_ns);
  /// Queues what was delayed until now.
  void queue_due(uint64_t now_ns);
  /// Deadlines that are kept: at most twice as many as there are messages without an answer, and some.
  size_t deadlines() const noexcept { return deadlines_.size(); }
  /// When one of these two has something; ~0: never.
  uint64_t next_due_ns() const noexcept;

 private:
  struct Due {
    uint64_t at_ns;
    Token token;
    bool operator>(const Due& other) const { return at_ns > other.at_ns; }
  };
  Token token_of(uint32_t index, size_t message) const noexcept;
  void add_messages(uint32_t index);
  void end_awaiting(const Found& found) noexcept;

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::deque<uint32_t> undivided_;
  std::deque<Token> ready_;
  std::deque<Due> deadlines_;  // of what awaits an answer, in order, and of some that has it
  std::priority_queue<Due, std::vector<Due>, std::greater<>> delayed_;
  size_t awaiting_ = 0;
  std::vector<MessageSlice> slices_;  // of what is being divided
};

}  // namespace weir::outbound
