#include "store/committer.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/thread_roles.h"

namespace weir::store {
namespace {

/// Refuses the first batch, whatever happens, and takes every other.
class FirstFails final : public Sink {
 public:
  Result<StoredIdentities> identities() override { return StoredIdentities(); }
  Result<void> write(CommitBatch& batch) override {
    if (batch.number == 1) {
      ++refused;
      return Error{"there is no room for it"};
    }
    ++written;
    return {};
  }
  Result<void> tidy() override { return {}; }

  std::atomic<int> refused{0}, written{0};
};

// What a batch says of its source's messages has those of the batch before in it.
TEST(Committer, GivesBackWhatIsBehindABatchThatItGaveUp) {
  FirstFails sink;
  Committer committer(sink, [] {});
  CommitBatch first, second;
  first.number = 1;
  second.number = 2;
  ASSERT_TRUE(committer.submit(&first));
  ASSERT_TRUE(committer.submit(&second));
  std::thread thread([&] {
    const RoleScope role(store_writer);
    committer.run();
  });
  while (sink.refused == 0) std::this_thread::yield();
  committer.ask_to_stop();
  thread.join();
  EXPECT_EQ(committer.take_done(), &first);
  EXPECT_EQ(committer.take_done(), &second);
  EXPECT_EQ(first.committed_steady_ns, 0u);
  EXPECT_EQ(second.committed_steady_ns, 0u);
  EXPECT_EQ(sink.written, 0);
}

}  // namespace
}  // namespace weir::store
