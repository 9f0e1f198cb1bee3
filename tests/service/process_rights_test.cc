// Each test in a process of its own: what it gives up it cannot have again. Needs root.
#include "service/process_rights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/start_thread.h"
#include "base/thread_rights.h"
#include "service/thread_look.h"
#include "support/process.h"

namespace weir::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uid_t kUser = 65534;
const Identity kIdentity{"65534", "65534"};

#define SKIP_WITHOUT_ROOT() \
  if (geteuid() != 0) GTEST_SKIP() << "needs root"

void in_child(const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    body();
    std::fflush(nullptr);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "see above";
}

void* sleep_for_good(void*) {
  for (;;) pause();
}

/// As libraries make them: no signal gets through.
void start_deaf_thread(const char* name) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, nullptr, sleep_for_good, nullptr), 0);
  pthread_setname_np(thread, name);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// `Uid CapPrm CapEff NoNewPrivs` of each thread.
std::vector<std::string> threads() {
  std::vector<std::string> all;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "status");
    std::string row;
    for (std::string line; std::getline(file, line);)
      for (const char* key : {"Uid:\t", "CapPrm:\t", "CapEff:\t", "NoNewPrivs:\t"})
        if (line.starts_with(key)) row += line.substr(std::string(key).size()) + " ";
    all.push_back(row);
  }
  return all;
}

const std::string kNothing = "65534\t65534\t65534\t65534 0000000000000000 0000000000000000 1 ";

TEST(ProcessRights, NoThreadKeepsAnythingOfRoots) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    start_deaf_thread("before");
    auto rights = ProcessRights::assume(kIdentity);
    ASSERT_TRUE(rights) << rights.error().message;
    start_deaf_thread("between");
    ASSERT_TRUE(start_thread("own", sleep_for_good, nullptr));
    const auto view = rights->give_up({});
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_TRUE(view->has_given_up);
    EXPECT_EQ(view->uid, kUser);
    EXPECT_THAT(view->capabilities, IsEmpty());
    EXPECT_THAT(view->threads_with_more, IsEmpty());
    // Made before, it has no no_new_privs of its own; capabilities and user it has not, either.
    const std::string elder = kNothing.substr(0, kNothing.size() - 2) + "0 ";
    EXPECT_THAT(threads(), ::testing::UnorderedElementsAre(kNothing, elder, kNothing, kNothing));
    EXPECT_NE(setresuid(0, 0, 0), 0);
    EXPECT_NE(chown("/", 0, 0), 0);
  });
}

TEST(ProcessRights, WhatIsKeptIsTheControlThreadsAlone) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    auto rights = ProcessRights::assume(kIdentity);
    ASSERT_TRUE(rights) << rights.error().message;
    start_deaf_thread("library");
    const auto view = rights->give_up({{CAP_NET_ADMIN, "a port"}});
    ASSERT_TRUE(view) << view.error().message;
    ASSERT_EQ(view->kept.size(), 1u);
    EXPECT_EQ(view->kept[0].why, "a port");
    EXPECT_THAT(view->capabilities, ElementsAre("CAP_NET_ADMIN"));
    const std::string kept = "65534\t65534\t65534\t65534 0000000000001000 0000000000001000 1 ";
    EXPECT_THAT(threads(), ::testing::UnorderedElementsAre(kept, kNothing));
    // What is executed has it not.
    EXPECT_EQ(std::system("grep -q '^CapEff:\t0000000000000000$' /proc/self/status"), 0);
  });
}

/// What the line of that key says of a thread or process.
std::string status_of(const std::string& task, const std::string& key) {
  std::ifstream file("/proc/" + task + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
  return {};
}

// It is started while the configuration is read, between the two steps: real user root.
TEST(ProcessRights, WhoCompilesPatternsCannotBecomeRootAgain) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    auto rights = ProcessRights::assume(kIdentity);
    ASSERT_TRUE(rights) << rights.error().message;
    int to[2];
    ASSERT_EQ(pipe(to), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    std::string path = test::built("tests/classify/compile_patterns");
    char* const argv[] = {path.data(), nullptr};
    pid_t pid = 0;
    ASSERT_EQ(posix_spawn(&pid, path.c_str(), &actions, nullptr, argv, environ), 0) << path;
    const std::string task = std::to_string(pid);
    EXPECT_TRUE(test::eventually([&] { return status_of(task, "Uid") == "65534\t65534\t65534\t65534"; }, std::chrono::seconds(5)))
        << status_of(task, "Uid");
    EXPECT_EQ(status_of(task, "Gid"), "65534\t65534\t65534\t65534");
    EXPECT_EQ(status_of(task, "CapPrm"), std::string(16, '0'));
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  });
}

TEST(ProcessRights, NamesAThreadThatCameLaterAndHasWhatIsKept) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    auto rights = ProcessRights::assume(kIdentity);
    ASSERT_TRUE(rights) << rights.error().message;
    start_deaf_thread("before");
    ASSERT_TRUE(rights->give_up({{CAP_NET_ADMIN, "a port"}}));
    ThreadWatch watch;
    EXPECT_THAT(watch.look(), IsEmpty());
    start_deaf_thread("late");
    static std::atomic<bool> may_go{false}, has_given_up{false};
    const auto own = [](void*) -> void* {
      while (!may_go) usleep(1000);
      has_given_up = give_up_capabilities_unless_root();
      return sleep_for_good(nullptr);
    };
    ASSERT_TRUE(start_thread("own", own, nullptr));
    EXPECT_THAT(watch.look(), IsEmpty()) << "either may be about to give them up";
    may_go = true;
    while (!has_given_up) usleep(1000);
    EXPECT_THAT(watch.look(), ElementsAre("late"));
    EXPECT_THAT(watch.look(), ElementsAre("late"));
  });
}

TEST(ProcessRights, ThreadsOfRootThatStaysRootOpenFilesAsRoot) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    const std::string before = status_of("thread-self", "CapPrm");
    EXPECT_TRUE(give_up_capabilities_unless_root());
    EXPECT_EQ(status_of("thread-self", "CapPrm"), before);
    EXPECT_TRUE(give_up_capabilities());
    EXPECT_EQ(status_of("thread-self", "CapPrm"), std::string(16, '0'));
  });
}

// What is not seen is not believed.
TEST(ProcessRights, GivesNothingForGivenUpWhereThreadsCannotBeSeen) {
  SKIP_WITHOUT_ROOT();
  test::TemporaryFolder folder;
  ASSERT_EQ(chmod((folder / ".").c_str(), 0755), 0);
  const auto try_it = [&](const char* says) {
    in_child([&] {
      const std::string task = folder / "proc/self/task/" + std::to_string(gettid());
      if (std::filesystem::exists(folder / "proc/self/task/999999")) {
        std::filesystem::create_directories(task);
        std::ofstream(task + "/status") << "Name:\tweir\nUid:\t65534\t65534\t65534\t65534\nCapPrm:\t0000000000000000\n";
      }
      ASSERT_EQ(chroot((folder / ".").c_str()), 0);
      ASSERT_EQ(chdir("/"), 0);
      auto rights = ProcessRights::assume(kIdentity);
      ASSERT_TRUE(rights) << rights.error().message;
      const auto view = rights->give_up({});
      ASSERT_FALSE(view) << says;
      EXPECT_THAT(view.error().message, HasSubstr(says));
    });
  };
  try_it("threads cannot be looked at: /proc/self/task: No such file or directory");
  ASSERT_TRUE(std::filesystem::create_directories(folder / "proc/self/task"));
  try_it("the one that looks is not there");
  // One that is there and cannot be looked into; one that has ended is no matter.
  ASSERT_TRUE(std::filesystem::create_directories(folder / "proc/self/task/999999/status"));
  ASSERT_TRUE(std::filesystem::create_directories(folder / "proc/self/task/999998"));
  try_it("thread 999999 (cannot be looked into: Is a directory)");
}

TEST(ProcessRights, FilesAreTheUsersFromTheFirstMoment) {
  SKIP_WITHOUT_ROOT();
  test::TemporaryFolder folder;
  ASSERT_EQ(chmod((folder / ".").c_str(), 0755), 0);
  const std::string roots = folder / "roots";
  std::ofstream(roots) << "secret";
  ASSERT_EQ(chmod(roots.c_str(), 0600), 0);
  in_child([&] {
    EXPECT_FALSE(is_for_root_to_make(folder / "state"));
    const OwnFolder state{folder / "state", 0750};
    auto rights = ProcessRights::assume(kIdentity, {&state, 1});
    ASSERT_TRUE(rights) << rights.error().message;
    EXPECT_TRUE(is_for_root_to_make(folder / "other"));
    EXPECT_FALSE(is_for_root_to_make(folder / "state"));
    EXPECT_NE(access((folder / "other").c_str(), F_OK), 0);
    std::ofstream(folder / "state/file") << "ours";
    struct stat status {};
    ASSERT_EQ(stat((folder / "state/file").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, kUser);
    EXPECT_FALSE(std::ifstream(roots).is_open()) << "it would not open at a reload, either";
    {
      const FileRights as_root;
      EXPECT_TRUE(std::ifstream(roots).is_open());
    }
    EXPECT_FALSE(std::ifstream(roots).is_open());
  });
}

/// Another user with capabilities, as a service's AmbientCapabilities= make one.
void be_user_with(uint64_t capabilities) {
  ASSERT_EQ(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
  ASSERT_EQ(setresgid(kUser, kUser, kUser), 0);
  ASSERT_EQ(setresuid(kUser, kUser, kUser), 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  data[0].effective = data[0].permitted = data[0].inheritable = static_cast<uint32_t>(capabilities);
  ASSERT_EQ(syscall(SYS_capset, &header, data), 0);
}

TEST(ProcessRights, WhoBeganWithCapabilitiesGivesThemUpToo) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    be_user_with(1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW);
    auto rights = ProcessRights::assume({});
    ASSERT_TRUE(rights) << rights.error().message;
    ASSERT_TRUE(start_thread("own", sleep_for_good, nullptr));
    const auto view = rights->give_up({{CAP_NET_ADMIN, "a port"}, {CAP_SYS_ADMIN, "what it never had"}});
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_EQ(view->kept.size(), 1u);
    EXPECT_THAT(view->threads_with_more, IsEmpty());
    const std::string kept = "65534\t65534\t65534\t65534 0000000000001000 0000000000001000 1 ";
    EXPECT_THAT(threads(), ::testing::UnorderedElementsAre(kept, kNothing));
  });
}

TEST(ProcessRights, NamesAThreadThatTakesNoSignals) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    be_user_with(1u << CAP_NET_RAW);
    auto rights = ProcessRights::assume({});
    ASSERT_TRUE(rights);
    start_deaf_thread("rdk:main");
    const auto view = rights->give_up({});
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_THAT(view->threads_with_more, ElementsAre("rdk:main"));
    EXPECT_THAT(view->capabilities, IsEmpty());
  });
}

TEST(ProcessRights, OnlyRootBecomesAnother) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    ASSERT_EQ(setresgid(kUser, kUser, kUser), 0);
    ASSERT_EQ(setresuid(kUser, kUser, kUser), 0);
    EXPECT_TRUE(ProcessRights::assume(kIdentity)) << "it is that already";
    const auto other = ProcessRights::assume({"1", "1"});
    ASSERT_FALSE(other);
    EXPECT_THAT(other.error().message, HasSubstr("only root can become another user"));
  });
}

TEST(ProcessRights, AGroupOfRootsIsNotPassedOver) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    for (const Identity& identity : {Identity{"", "65534"}, Identity{"root", "65534"}}) {
      const auto rights = ProcessRights::assume(identity);
      ASSERT_FALSE(rights);
      EXPECT_EQ(rights.error().message, "group: 65534 goes with a `user` that is not root");
    }
    EXPECT_TRUE(ProcessRights::assume({"root", "root"}));
    EXPECT_TRUE(ProcessRights::assume({"root", ""}));
  });
}

TEST(ProcessRights, NamesAUserThatThereIsNot) {
  const auto unknown = ProcessRights::assume({"nobody-has-this-name", ""});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message, "user: there is no user nobody-has-this-name");
  const auto number = ProcessRights::assume({"4000000001", ""});
  ASSERT_FALSE(number);
  EXPECT_THAT(number.error().message, HasSubstr("a number needs a group, too"));
  const auto group = ProcessRights::assume({"root", "nobody-has-this-group"});
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().message, "group: there is no group nobody-has-this-group");
}

TEST(ProcessRights, RootThatWasAskedForNothingStaysRoot) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    auto rights = ProcessRights::assume({});
    ASSERT_TRUE(rights);
    const auto view = rights->give_up({});
    ASSERT_TRUE(view);
    EXPECT_FALSE(view->has_given_up);
    EXPECT_EQ(view->user, "root");
    EXPECT_EQ(geteuid(), 0u);
  });
}

}  // namespace
}  // namespace weir::service
