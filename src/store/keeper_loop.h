// keeper_loop.h — A keeper on a thread of its own, made anew where the store is opened anew.
//
// Runs on:  run on the keeper's thread; ask_to_verify on one other, the rest on any.
// Failure:  none ends it; what a keeper cannot do is in its view, and that there is none in trouble().
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/snapshot.h"
#include "base/waker.h"
#include "store/keeper.h"
#include "store/open_store.h"

namespace weir::store {

class KeeperLoop {
 public:
  KeeperLoop(OpenStore& store, KeeperConfig config) : store_(store), config_(std::move(config)) {}

  void run();
  void ask_to_stop() noexcept {
    is_stopping_.store(true, std::memory_order_release);
    waker_.wake();
  }
  /// All files are read through at once. Its number; that of one that is under way.
  uint64_t ask_to_verify();
  /// Null until the first keeper has looked.
  std::shared_ptr<const KeeperView> view() const { return view_.read(); }
  std::shared_ptr<const std::string> trouble() const { return trouble_.read(); }

 private:
  void tell(const KeeperView& view);

  OpenStore& store_;
  const KeeperConfig config_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<uint64_t> verify_{0};  // the last that was asked for
  Waker waker_;
  Snapshot<KeeperView> view_;
  Snapshot<std::string> trouble_;
  size_t told_broken_ = 0;
  uint64_t told_taken_back_ = 0;
  uint64_t told_unknown_ = 0;
  uint64_t told_verified_ = 0;
  bool told_ahead_ = false;
};

}  // namespace weir::store
