// inquiry.h — One question at a time from the control thread to a core, and its answer.
//
// Runs on:  ask and take: control_thread; open and answer: rx_lcore.
// Bounds:   one question. It must outlive its answer; a core that has ended answers no more.
#pragma once

#include <cassert>

#include "base/spsc_ring.h"
#include "base/thread_roles.h"

namespace weir::dataplane {

template <class Query>
class Inquiry {
 public:
  /// False while the last question is still open, which is left alone then.
  bool ask(Query& query) noexcept WEIR_RUNS_ON(control_thread) {
    if (is_out_) return false;
    query.begin();
    is_out_ = questions_.push(&query);
    return is_out_;
  }
  bool take(Query*& query) noexcept WEIR_RUNS_ON(control_thread) {
    if (!answers_.pop(query)) return false;
    is_out_ = false;
    return true;
  }

  /// The question that is to be answered; null: none.
  Query* open() noexcept WEIR_RUNS_ON(rx_lcore) {
    if (open_ == nullptr) questions_.pop(open_);
    return open_;
  }
  void answer() noexcept WEIR_RUNS_ON(rx_lcore) {
    [[maybe_unused]] const bool pushed = answers_.push(open_);
    assert(pushed);  // there is one question at a time
    open_ = nullptr;
  }
  bool is_open() const noexcept WEIR_RUNS_ON(rx_lcore) {
    return open_ != nullptr || questions_.size_approx() != 0;
  }

 private:
  SpscRing<Query*> questions_{2};
  SpscRing<Query*> answers_{2};
  Query* open_ = nullptr;
  bool is_out_ = false;  // the control thread's
};

}  // namespace weir::dataplane
