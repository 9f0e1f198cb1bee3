#include "export/stream_publisher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "export/json_lines.h"
#include "support/batches.h"

namespace weir::outbound {
namespace {

using test::BatchBox;
using test::OutcomeLedger;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string lines_of(const BatchBox& box) {
  std::string lines;
  for (const auto& flow : box.flows.flows()) append_json_line(flow, lines);
  return lines;
}

/// Standard output for the time of a test: a pipe, or whatever the test puts there.
class StdoutAs {
 public:
  explicit StdoutAs(int fd) : saved_(::dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    ::dup2(fd, STDOUT_FILENO);
  }
  ~StdoutAs() {
    ::dup2(saved_, STDOUT_FILENO);
    ::close(saved_);
  }
  StdoutAs(const StdoutAs&) = delete;
  StdoutAs& operator=(const StdoutAs&) = delete;

 private:
  int saved_;
};

class StreamPublisherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-stream-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return (folder_ / "flows").string(); }
  std::string content() const { return content_of(path()); }
  static std::string content_of(const std::filesystem::path& of) {
    std::ifstream file(of, std::ios::binary);
    std::ostringstream all;
    all << file.rdbuf();
    return all.str();
  }

  /// What was set aside, oldest first.
  std::vector<std::filesystem::path> aside() const {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (entry.path().filename().string().starts_with("flows-")) paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  bool submit(StreamPublisher& publisher, BatchBox& box) {
    const RoleScope role(publisher_thread);
    const bool taken = publisher.submit(box.batch, ledger_);
    submitted_ += taken ? 1 : 0;
    return taken;
  }
  void poll(StreamPublisher& publisher, int wait_ms) {
    const RoleScope role(publisher_thread);
    publisher.poll(wait_ms, ledger_);
  }
  void drain(StreamPublisher& publisher, uint64_t ms) {
    const RoleScope role(publisher_thread);
    const std::atomic<uint64_t> deadline_ns = steady_clock_ns() + ms * kNsPerMs;
    publisher.drain(deadline_ns, ledger_);
    EXPECT_EQ(publisher.in_flight(), 0u);
    ledger_.expect_balance(submitted_);
  }

  std::filesystem::path folder_;
  OutcomeLedger ledger_;
  size_t submitted_ = 0;
};

TEST_F(StreamPublisherTest, WritesLinesOfTheirOwnKindBetweenBatches) {
  auto publisher = StreamPublisher::to_file({path()}, StreamFormat::json);
  ASSERT_TRUE(publisher);
  RoleScope role(publisher_thread);
  OutcomeLedger ledger;
  BatchBox first(1, 2), second(2, 1);
  (*publisher)->submit(first.batch, ledger);
  ASSERT_TRUE((*publisher)->offer_line("{\"type\":\"EXPORTER_INFO\"}\n"));
  (*publisher)->poll(0, ledger);
  (*publisher)->submit(second.batch, ledger);
  (*publisher)->poll(0, ledger);
  EXPECT_EQ(content(), lines_of(first) + "{\"type\":\"EXPORTER_INFO\"}\n" + lines_of(second));
  ledger.expect_balance(2);
  EXPECT_EQ((*publisher)->counters().acknowledgements.value(), 2u) << "lines are no batches";
  // What does not fit is for the caller to offer again.
  size_t taken = 0;
  while (taken < 1000 && (*publisher)->offer_line("x\n")) ++taken;
  EXPECT_EQ(taken, kStreamLinesMax);
  std::atomic<uint64_t> deadline{steady_clock_ns() + 10 * kNsPerSec};
  (*publisher)->drain(deadline, ledger);
  EXPECT_EQ(content().size(), lines_of(first).size() + 25 + lines_of(second).size() + 2 * taken);
  EXPECT_EQ((*publisher)->in_flight(), 0u);
  auto octets = StreamPublisher::to_file({(folder_ / "octets").string()}, StreamFormat::flow_batch);
  ASSERT_TRUE(octets);
  EXPECT_FALSE((*octets)->offer_line("x\n"));
}

TEST_F(StreamPublisherTest, WritesALineARecordAndAcknowledgesWhatIsWritten) {
  auto made = StreamPublisher::to_file({path()}, StreamFormat::json);
  ASSERT_TRUE(made);
  StreamPublisher& publisher = **made;
  BatchBox first(1, 10), second(2, 3);
  EXPECT_TRUE(submit(publisher, first));
  EXPECT_TRUE(submit(publisher, second));
  poll(publisher, 0);
  EXPECT_EQ(ledger_.acknowledged, 2u);
  EXPECT_EQ(content(), lines_of(first) + lines_of(second));
  EXPECT_EQ(publisher.counters().octets.value(), content().size());
  EXPECT_THAT(publisher.last_error(), IsEmpty());
  drain(publisher, 0);
}

TEST_F(StreamPublisherTest, FlowBatchesInAFileAreOneFlowBatch) {
  auto made = StreamPublisher::to_file({path()}, StreamFormat::flow_batch);
  ASSERT_TRUE(made);
  BatchBox first(1, 10), second(2, 3);
  submit(**made, first);
  submit(**made, second);
  drain(**made, 1000);
  flowpb::FlowBatch all;
  ASSERT_TRUE(all.ParseFromString(content()));
  EXPECT_EQ(all.flows_size(), 13);
}

TEST_F(StreamPublisherTest, AppendsToWhatIsThereAndNamesAPathItCannotOpen) {
  std::ofstream(path()) << "{}\n";
  auto made = StreamPublisher::to_file({path()}, StreamFormat::json);
  ASSERT_TRUE(made);
  BatchBox box(1, 1);
  submit(**made, box);
  drain(**made, 1000);
  EXPECT_EQ(content(), "{}\n" + lines_of(box));

  const auto wrong = StreamPublisher::to_file({"/nonexistent/flows"}, StreamFormat::json);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message, "file /nonexistent/flows: No such file or directory");
}

TEST_F(StreamPublisherTest, AFullDiskFailsBatchesAndLeavesWholeOnesInTheFile) {
  // The file-size limit stands in for the disk: write() comes up short, then fails.
  std::signal(SIGXFSZ, SIG_IGN);
  BatchBox first(1, 10), second(2, 10), third(3, 1);
  auto made = StreamPublisher::to_file({path()}, StreamFormat::json);
  ASSERT_TRUE(made);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit limit = before;
  limit.rlim_cur = lines_of(first).size() + lines_of(second).size() / 2;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  submit(**made, first);
  submit(**made, second);
  poll(**made, 0);
  ::setrlimit(RLIMIT_FSIZE, &before);

  EXPECT_EQ(ledger_.acknowledged, 1u);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::write_error], 1u);
  EXPECT_THAT((*made)->last_error(), HasSubstr("file " + path() + ": File too large"));
  EXPECT_EQ(content(), lines_of(first));

  submit(**made, third);  // there is room again
  drain(**made, 1000);
  EXPECT_EQ(content(), lines_of(first) + lines_of(third));
  EXPECT_THAT((*made)->last_error(), IsEmpty());
}

TEST_F(StreamPublisherTest, ADeviceWithoutSpaceFailsEveryBatchAndKeepsGoing) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "/dev/full is not there";
  auto publisher = StreamPublisher::to_file({"/dev/full"}, StreamFormat::json);
  ASSERT_TRUE(publisher);
  for (uint64_t i = 1; i <= 3; ++i) {
    BatchBox box(i, 5);
    EXPECT_TRUE(submit(**publisher, box));
    poll(**publisher, 0);
  }
  EXPECT_EQ(ledger_.failures[DeliveryFailure::write_error], 3u);
  EXPECT_THAT((*publisher)->last_error(), HasSubstr("No space left"));
}

TEST_F(StreamPublisherTest, AReaderThatWentAwayFailsThisAndEveryLaterBatch) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ::close(ends[0]);
  auto publisher = StreamPublisher::to_stdout(StreamFormat::json);
  BatchBox first(1, 5), second(2, 5);
  {
    const StdoutAs redirected(ends[1]);
    submit(*publisher, first);
    poll(*publisher, 0);
    submit(*publisher, second);
  }
  ::close(ends[1]);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::write_error], 2u);
  EXPECT_EQ(publisher->last_error(), "standard output: Broken pipe");
  EXPECT_EQ(publisher->counters().connected.value(), 0u);
  drain(*publisher, 0);
}

TEST_F(StreamPublisherTest, ASlowReaderOfAPipeGetsEverythingWithoutHoldingPollBack) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  std::string received;
  std::string expected;
  {
    const StdoutAs redirected(ends[1]);
    ::close(ends[1]);
    auto publisher = StreamPublisher::to_stdout(StreamFormat::json);
    std::deque<BatchBox> boxes;
    // Nobody reads: what the pipe does not take waits, up to the bound; then submit says so.
    while (boxes.size() < 10'000) {
      BatchBox& box = boxes.emplace_back(boxes.size() + 1, 50);
      if (!submit(*publisher, box)) break;
      expected += lines_of(box);
      poll(*publisher, 0);
    }
    ASSERT_LT(boxes.size(), 10'000u) << "the buffer has no bound";
    EXPECT_LE(expected.size(), 2 * kStreamBufferOctetsMax);

    std::thread reader([&] {
      char chunk[65536];
      while (received.size() < expected.size()) {
        const ssize_t n = ::read(ends[0], chunk, sizeof chunk);
        if (n <= 0) break;
        received.append(chunk, static_cast<size_t>(n));
      }
    });
    drain(*publisher, 60'000);
    reader.join();
  }
  ::close(ends[0]);
  EXPECT_EQ(ledger_.failed, 0u);
  EXPECT_TRUE(received == expected);
}

TEST_F(StreamPublisherTest, ABlockedPipeFailsTheRestAtTheDrainsDeadlineAndEndsTheCutLine) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  BatchBox large(1, 400), late(2, 1);
  std::string received;
  {
    const StdoutAs redirected(ends[1]);
    ::close(ends[1]);
    auto publisher = StreamPublisher::to_stdout(StreamFormat::json);
    submit(*publisher, large);
    drain(*publisher, 50);
    EXPECT_EQ(ledger_.failures[DeliveryFailure::shutdown_deadline], 1u);

    std::thread reader([&] {
      char chunk[65536];
      while (received.find(lines_of(late)) == std::string::npos) {
        const ssize_t n = ::read(ends[0], chunk, sizeof chunk);
        if (n <= 0) break;
        received.append(chunk, static_cast<size_t>(n));
      }
    });
    submit(*publisher, late);
    drain(*publisher, 60'000);
    reader.join();
  }
  ::close(ends[0]);
  EXPECT_EQ(ledger_.acknowledged, 1u);
  EXPECT_THAT(received, HasSubstr(std::string("\n").append(lines_of(late))));
}

TEST_F(StreamPublisherTest, SetsAFileAsideBeforeItGrowsBeyondItsSize) {
  FileConfig config{(folder_ / "flows.jsonl").string()};
  BatchBox sample(1, 10);
  config.rotate_bytes = lines_of(sample).size() * 5 / 2;  // two batches fit
  auto made = StreamPublisher::to_file(config, StreamFormat::json);
  ASSERT_TRUE(made);
  std::deque<BatchBox> boxes;
  std::string expected;
  for (uint64_t i = 1; i <= 7; ++i) {
    BatchBox& box = boxes.emplace_back(i, 10);
    expected += lines_of(box);
    submit(**made, box);
  }
  drain(**made, 1000);
  EXPECT_EQ(ledger_.acknowledged, 7u);
  const auto files = aside();
  ASSERT_EQ(files.size(), 3u);
  std::string all;
  for (const auto& file : files) {
    // flows-20261120T160000.000Z.jsonl
    const std::string name = file.filename().string();
    EXPECT_EQ(name.size(), 32u) << name;
    EXPECT_TRUE(name.ends_with("Z.jsonl")) << name;
    EXPECT_EQ(name[14], 'T') << name;
    const std::string text = content_of(file);
    EXPECT_LE(text.size(), config.rotate_bytes);
    EXPECT_EQ(text.back(), '\n');
    all += text;
  }
  all += content_of(config.path);
  EXPECT_TRUE(all == expected) << "each line once, in order, over all files";
}

TEST_F(StreamPublisherTest, KeepsTheNewestOfTheFilesThatWereSetAsideAndNothingElseGoes) {
  const auto other = folder_ / "flows-notes.jsonl";
  std::ofstream(other) << "mine\n";
  std::ofstream(folder_ / "flows-20010101T000000.000Z.jsonl") << "old\n";
  FileConfig config{(folder_ / "flows.jsonl").string()};
  config.rotate_bytes = 1;  // each batch has a file of its own
  config.keep_files = 2;
  auto made = StreamPublisher::to_file(config, StreamFormat::json);
  ASSERT_TRUE(made);
  std::deque<BatchBox> boxes;
  for (uint64_t i = 1; i <= 5; ++i) submit(**made, boxes.emplace_back(i, 1));
  drain(**made, 1000);
  auto files = aside();
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files.back(), other);
  EXPECT_TRUE(content_of(files[0]) == lines_of(boxes[2]));
  EXPECT_TRUE(content_of(files[1]) == lines_of(boxes[3]));
  EXPECT_EQ(content_of(config.path), lines_of(boxes[4]));
}

TEST_F(StreamPublisherTest, SetsAFileAsideByItsAgeAlsoWhileNothingComes) {
  FileConfig config{path()};
  config.rotate_secs = 1;
  auto made = StreamPublisher::to_file(config, StreamFormat::json);
  ASSERT_TRUE(made);
  BatchBox first(1, 1), second(2, 1);
  submit(**made, first);
  poll(**made, 0);
  EXPECT_THAT(aside(), IsEmpty());
  for (int i = 0; i < 1000 && aside().empty(); ++i) poll(**made, 10);
  ASSERT_EQ(aside().size(), 1u);
  EXPECT_EQ(content_of(aside()[0]), lines_of(first));
  EXPECT_THAT(content(), IsEmpty()) << "an empty file is not set aside";
  submit(**made, second);
  drain(**made, 1000);
  EXPECT_EQ(content(), lines_of(second));
}

TEST_F(StreamPublisherTest, WritesOnInTheSameFileWhileItCannotBeSetAside) {
  // Set aside its name would have more than the 255 octets that a name may have.
  FileConfig config{(folder_ / std::string(240, 'f')).string()};
  config.rotate_bytes = 1;
  auto made = StreamPublisher::to_file(config, StreamFormat::json);
  ASSERT_TRUE(made);
  BatchBox first(1, 1), second(2, 1);
  submit(**made, first);
  poll(**made, 0);
  submit(**made, second);
  drain(**made, 1000);
  EXPECT_EQ(ledger_.acknowledged, 2u);
  EXPECT_EQ(content_of(config.path), lines_of(first) + lines_of(second));
  EXPECT_THAT((*made)->last_error(), HasSubstr("cannot be set aside: File name too long"));
}

TEST_F(StreamPublisherTest, OpensAFileThatWasMovedAnewWhenAsked) {
  auto made = StreamPublisher::to_file({path()}, StreamFormat::json);
  ASSERT_TRUE(made);
  BatchBox first(1, 2), second(2, 2), third(3, 2);
  submit(**made, first);
  poll(**made, 0);
  std::filesystem::rename(path(), path() + ".1");
  submit(**made, second);
  poll(**made, 0);
  (*made)->reopen();
  submit(**made, third);
  drain(**made, 1000);
  EXPECT_EQ(content_of(path() + ".1"), lines_of(first) + lines_of(second));
  EXPECT_EQ(content(), lines_of(third));
  EXPECT_EQ((*made)->counters().reconnects.value(), 1u);

  // Where it cannot be opened, what is open is written on.
  std::filesystem::rename(path(), path() + ".2");
  std::filesystem::create_directory(path());
  (*made)->reopen();
  BatchBox fourth(4, 1);
  submit(**made, fourth);
  drain(**made, 1000);
  EXPECT_EQ(ledger_.acknowledged, 4u);
  EXPECT_EQ(content_of(path() + ".2"), lines_of(third) + lines_of(fourth));
  EXPECT_THAT((*made)->last_error(), HasSubstr("file " + path() + ": Is a directory"));
}

TEST_F(StreamPublisherTest, EndsALineThatACrashHadCut) {
  std::ofstream(path()) << "{\"type\":\"NETFL";
  auto made = StreamPublisher::to_file({path()}, StreamFormat::json);
  ASSERT_TRUE(made);
  BatchBox box(1, 1);
  submit(**made, box);
  drain(**made, 1000);
  EXPECT_EQ(content(), "{\"type\":\"NETFL\n" + lines_of(box));
}

TEST_F(StreamPublisherTest, CutsAwayThePartOfAFlowBatchThatACrashLeft) {
  BatchBox before(1, 3), after(2, 2);
  for (const size_t missing : {size_t{1}, size_t{40}}) {
    std::ofstream(path(), std::ios::binary | std::ios::trunc)
        << before.octets.substr(0, before.octets.size() - missing);
    auto made = StreamPublisher::to_file({path()}, StreamFormat::flow_batch);
    ASSERT_TRUE(made);
    submit(**made, after);
    {
      const RoleScope role(publisher_thread);
      (*made)->poll(0, ledger_);
    }
    flowpb::FlowBatch all;
    ASSERT_TRUE(all.ParseFromString(content())) << missing;
    EXPECT_EQ(all.flows_size(), 4) << missing;
    after.batch.sequence += 1;
    ledger_.reported.clear();
  }
}

TEST_F(StreamPublisherTest, AddsNoFlowBatchToAFileOfAnotherKind) {
  std::ofstream(path()) << "{\"type\":\"NETFLOW_V9\"}\n";
  auto made = StreamPublisher::to_file({path()}, StreamFormat::flow_batch);
  ASSERT_TRUE(made) << "checking a configuration reads no file";
  BatchBox box(1, 1);
  submit(**made, box);
  drain(**made, 100);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::write_error], 1u);
  EXPECT_THAT((*made)->last_error(), HasSubstr("is no FlowBatch"));
  EXPECT_FALSE((*made)->is_broken()) << "it may be moved";
  EXPECT_EQ(content(), "{\"type\":\"NETFLOW_V9\"}\n");
}

TEST_F(StreamPublisherTest, CheckingAPathMakesNothing) {
  EXPECT_TRUE(StreamPublisher::to_file({path()}, StreamFormat::json));
  EXPECT_FALSE(std::filesystem::exists(path()));
  const auto folder = StreamPublisher::to_file({folder_.string()}, StreamFormat::json);
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().message, HasSubstr("Is a directory"));
  const auto device = StreamPublisher::to_file({"/dev/null", 1000}, StreamFormat::json);
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().message, HasSubstr("no regular file"));
}

TEST_F(StreamPublisherTest, ANamedPipeIsNoReasonToWaitWhileNobodyReads) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  auto made = StreamPublisher::to_file({path()}, StreamFormat::json);
  ASSERT_TRUE(made);
  BatchBox unread(1, 1), read(2, 1);
  submit(**made, unread);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::write_error], 1u);
  EXPECT_THAT((*made)->last_error(), HasSubstr("No such device or address"));
  EXPECT_FALSE((*made)->is_broken());

  const int reader = ::open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const uint64_t deadline_ns = steady_clock_ns() + 20 * kNsPerSec;
  while ((*made)->counters().connected.value() == 0 && steady_clock_ns() < deadline_ns) {
    poll(**made, 10);
  }
  submit(**made, read);
  drain(**made, 1000);
  EXPECT_EQ(ledger_.acknowledged, 1u);
  std::string text(65536, '\0');
  text.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(reader, text.data(), text.size()))));
  EXPECT_EQ(text, lines_of(read));
  ::close(reader);
}

TEST_F(StreamPublisherTest, RejectsOctetsThatAreNoBatch) {
  auto made = StreamPublisher::to_file({path()}, StreamFormat::json);
  ASSERT_TRUE(made);
  BatchBox box(1, 2);
  box.batch.octets -= 1;
  submit(**made, box);
  drain(**made, 1000);
  EXPECT_EQ(ledger_.failures[DeliveryFailure::rejected], 1u);
  EXPECT_THAT(content(), IsEmpty());
}

}  // namespace
}  // namespace weir::outbound
