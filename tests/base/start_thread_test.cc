#include "base/start_thread.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "support/refused_threads.h"

namespace weir {
namespace {

struct Seen {
  bool blocks_all = false;
};

void* look(void* argument) {
  auto* const seen = static_cast<Seen*>(argument);
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  seen->blocks_all = true;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE}) {
    seen->blocks_all = seen->blocks_all && sigismember(&mask, signal) == 1;
  }
  return nullptr;
}

TEST(StartThread, BlocksSignalsThereAndNotHere) {
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  Seen seen;
  const auto thread = start_thread("weir-test", look, &seen);
  ASSERT_TRUE(thread);
  ASSERT_EQ(pthread_join(*thread, nullptr), 0);
  EXPECT_TRUE(seen.blocks_all);
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
  EXPECT_EQ(sigismember(&after, SIGTERM), 0);
}

TEST(StartThread, IsAnErrorWhereThereIsNone) {
  const test::RefusedThreads refused;
  Seen seen;
  const auto thread = start_thread("weir-test", look, &seen);
  ASSERT_FALSE(thread);
  EXPECT_EQ(thread.error().message.rfind("no thread: ", 0), 0u) << thread.error().message;
}

}  // namespace
}  // namespace weir
