// snapshot.h — An immutable value that one thread replaces and others read whole.
//
// Runs on:  publish on one thread, read on any. Not for the receive path: readers take a reference.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace weir {

template <class T>
class Snapshot {
 public:
  void publish(std::shared_ptr<const T> next) { current_.store(std::move(next)); }
  /// Null until something was published.
  std::shared_ptr<const T> read() const { return current_.load(); }

 private:
  std::atomic<std::shared_ptr<const T>> current_;
};

}  // namespace weir
