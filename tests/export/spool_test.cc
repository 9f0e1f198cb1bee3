// What waits on disk: order, bounds, and what is left of it after a crash at any point.
#include "export/spool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "base/clock.h"
#include "support/process.h"

namespace weir::outbound {
namespace {

using test::TemporaryFolder;

/// An entry that owns its octets.
struct Batch {
  std::string id;
  std::string subject = "flows.raw.netflow";
  RecordKind kind = RecordKind::flow;
  uint32_t records = 1;
  uint64_t sealed_ns = 1'000;
  std::string payload;

  SpoolEntry entry() const {
    return {.id = id,
            .subject = subject,
            .kind = kind,
            .records = records,
            .sealed_wall_ns = sealed_ns,
            .payload = {reinterpret_cast<const uint8_t*>(payload.data()), payload.size()}};
  }
  friend bool operator==(const Batch&, const Batch&) = default;
};

Batch batch(uint64_t number, size_t octets = 100) {
  Batch b;
  b.id = "appliance.1.0." + std::to_string(number);
  b.records = static_cast<uint32_t>(number % 7 + 1);
  for (size_t i = 0; i < octets; ++i) b.payload += static_cast<char>(number * 31 + i);
  return b;
}

Batch copy_of(const SpoolEntry& e) {
  return {.id = std::string(e.id),
          .subject = std::string(e.subject),
          .kind = e.kind,
          .records = e.records,
          .sealed_ns = e.sealed_wall_ns,
          .payload = std::string(e.payload.begin(), e.payload.end())};
}

class SpoolTest : public testing::Test {
 protected:
  std::unique_ptr<Spool> open(SpoolConfig config = {}) {
    config.dir = dir();
    auto spool = Spool::open(config);
    EXPECT_TRUE(spool) << spool.error().message;
    return spool ? std::move(*spool) : nullptr;
  }
  std::string dir() const { return folder_ / "spool"; }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> all;
    for (const auto& file : std::filesystem::directory_iterator(dir())) {
      if (file.path().extension() == ".spool") all.push_back(file.path());
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  uint64_t octets_on_disk() const {
    uint64_t sum = 0;
    for (const auto& file : files()) sum += std::filesystem::file_size(file);
    return sum;
  }
  /// Takes and releases everything.
  std::vector<Batch> drain(Spool& spool, uint64_t now_ns = 2'000) {
    std::vector<Batch> all;
    while (const auto given = spool.take(room_, now_ns)) {
      all.push_back(copy_of(given->entry));
      spool.release(given->place);
    }
    return all;
  }

  TemporaryFolder folder_;
  std::vector<uint8_t> room_;
};

TEST_F(SpoolTest, GivesInOrderWhatWasAppended) {
  std::vector<Batch> in;
  for (uint64_t i = 0; i < 50; ++i) in.push_back(batch(i, i * 37));
  in[7].kind = RecordKind::sflow_counters;
  in[8].subject = "";
  in[9].id = std::string(255, 'x');
  const auto spool = open({.segment_octets = 4096});
  EXPECT_FALSE(spool->take(room_, 0));
  for (const Batch& b : in) EXPECT_EQ(spool->append(b.entry()), SpoolAppend::stored);
  EXPECT_GT(files().size(), 5u);
  EXPECT_EQ(spool->counters().entries.value(), 50u);
  EXPECT_EQ(spool->counters().octets.value(), octets_on_disk());
  EXPECT_EQ(drain(*spool), in);
  EXPECT_TRUE(spool->is_empty());
  EXPECT_EQ(spool->counters().entries.value(), 0u);
  EXPECT_EQ(spool->counters().records.value(), 0u);
  EXPECT_LE(files().size(), 1u) << "what was released is gone";
}

TEST_F(SpoolTest, KeepsOverARestartWhatWasNotReleased) {
  {
    const auto spool = open();
    for (uint64_t i = 0; i < 5; ++i) spool->append(batch(i).entry());
    const auto first = spool->take(room_, 0);
    const auto second = spool->take(room_, 0);
    const auto third = spool->take(room_, 0);
    spool->release(third->place);
    spool->release(first->place);
    ASSERT_TRUE(second);
  }
  const auto spool = open();
  EXPECT_EQ(spool->counters().restored_entries.value(), 4u);
  EXPECT_EQ(spool->append(batch(5).entry()), SpoolAppend::stored);
  std::vector<Batch> expected;
  for (uint64_t i = 1; i < 6; ++i) expected.push_back(batch(i));
  EXPECT_EQ(drain(*spool), expected) << "the third is given again: one before it was not released";
}

TEST_F(SpoolTest, GivesAgainWhatWasPutBackAndNothingElse) {
  const auto spool = open({.segment_octets = 300});
  for (uint64_t i = 0; i < 6; ++i) spool->append(batch(i).entry());
  std::vector<Spool::Place> places;
  for (int i = 0; i < 4; ++i) places.push_back(spool->take(room_, 0)->place);
  spool->release(places[1]);
  spool->put_back_all();
  EXPECT_EQ(drain(*spool), (std::vector<Batch>{batch(0), batch(2), batch(3), batch(4), batch(5)}));
  EXPECT_TRUE(spool->is_empty());
}

TEST_F(SpoolTest, StaysWithinItsOctetsAndTakesMoreOnceSomeIsReleased) {
  const uint64_t limit = 10'000;
  const auto spool = open({.octets_max = limit, .segment_octets = 1000});
  uint64_t stored = 0;
  while (spool->append(batch(stored).entry()) == SpoolAppend::stored) ++stored;
  EXPECT_GT(stored, 50u);
  EXPECT_EQ(spool->append(batch(0).entry()), SpoolAppend::full);
  EXPECT_LE(octets_on_disk(), limit);
  EXPECT_EQ(spool->counters().entries.value(), stored);
  for (int i = 0; i < 10; ++i) spool->release(spool->take(room_, 0)->place);
  EXPECT_EQ(spool->append(batch(1000).entry()), SpoolAppend::stored);
  EXPECT_LE(octets_on_disk(), limit);
  EXPECT_EQ(drain(*spool).size(), stored - 9);
  // All of it again, whatever lies consumed in the last file.
  uint64_t again = 0;
  while (spool->append(batch(again).entry()) == SpoolAppend::stored) ++again;
  EXPECT_GE(again, stored - 1000 / batch(0).entry().octets());
  EXPECT_EQ(spool->append(batch(0, limit).entry()), SpoolAppend::too_large);
}

TEST_F(SpoolTest, SaysThatItIsFullUntilThereIsRoomThoughNothingMoreIsAppended) {
  const auto spool = open({.octets_max = 4096, .segment_octets = 1024});
  while (spool->append(batch(1).entry()) == SpoolAppend::stored) {
  }
  spool->tick(10 * kNsPerSec);
  EXPECT_EQ(spool->last_error(), "full");
  drain(*spool);
  spool->tick(20 * kNsPerSec);
  EXPECT_EQ(spool->last_error(), "");
}

TEST_F(SpoolTest, DoesNotGiveWhatIsTooOld) {
  const auto spool = open({.age_max_ns = 100});
  for (uint64_t i = 0; i < 4; ++i) {
    Batch b = batch(i);
    b.sealed_ns = 1000 + i * 100;
    spool->append(b.entry());
  }
  const auto given = drain(*spool, 1250);
  ASSERT_EQ(given.size(), 2u);
  EXPECT_EQ(given[0].id, batch(2).id);
  EXPECT_EQ(spool->counters().expired_entries.value(), 2u);
  EXPECT_EQ(spool->counters().expired_records.value(), batch(0).records + batch(1).records);
  EXPECT_EQ(spool->counters().entries.value(), 0u);
}

TEST_F(SpoolTest, WhatIsTooOldMakesRoomForWhatIsNewThoughSomeIsOut) {
  const SpoolConfig config{.octets_max = 10'000, .segment_octets = 1000, .age_max_ns = 100};
  uint64_t stored = 0;
  uint64_t expired = 0;
  {
    const auto spool = open(config);
    while (spool->append(batch(stored).entry()) == SpoolAppend::stored) ++stored;
    const auto out = spool->take(room_, 1000);
    ASSERT_TRUE(out);
    Batch fresh = batch(stored);
    fresh.sealed_ns = 1100;
    EXPECT_EQ(spool->append(fresh.entry()), SpoolAppend::full) << "nothing is too old yet";
    fresh.sealed_ns = 1101;
    uint64_t more = 0;
    for (; spool->append(fresh.entry()) == SpoolAppend::stored; ++more) {
      ASSERT_LT(more, 2 * stored);
      EXPECT_LE(octets_on_disk(), config.octets_max);
      EXPECT_EQ(spool->counters().octets.value(), octets_on_disk());
    }
    EXPECT_GT(more, stored / 2);
    expired = spool->counters().expired_entries.value();
    EXPECT_EQ(expired, stored - 1) << "but for what is out";
    EXPECT_EQ(spool->counters().entries.value(), 1 + more);
    stored = more;
  }
  const auto spool = open(config);
  const auto left = drain(*spool, 1102);
  EXPECT_EQ(left.size(), stored) << "none is lost with the files that went";
  EXPECT_TRUE(spool->is_empty());
}

TEST_F(SpoolTest, IsOneProgramsAlone) {
  const auto spool = open();
  const auto second = Spool::open({.dir = dir()});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message, dir() + ": another weir has its spool there");
}

TEST_F(SpoolTest, GivesTheWholeEntriesBeforeTheCutWhereverItIs) {
  std::vector<Batch> in;
  {
    const auto spool = open();
    for (uint64_t i = 0; i < 4; ++i) in.push_back(batch(i, 20 + i));
    for (const Batch& b : in) spool->append(b.entry());
  }
  ASSERT_EQ(files().size(), 1u);
  const std::string path = files()[0];
  const std::string whole = test::contents_of(path);
  for (size_t size = 0; size <= whole.size(); ++size) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    size_t fitting = 0;
    uint64_t end = kSpoolFileHeaderOctets;
    while (fitting < in.size() && end + in[fitting].entry().octets() <= size) {
      end += in[fitting++].entry().octets();
    }
    {
      const auto spool = open();
      ASSERT_EQ(spool->counters().restored_entries.value(), fitting) << "cut at " << size;
      ASSERT_EQ(spool->counters().damaged_octets.value(),
                size < kSpoolFileHeaderOctets ? size : size - end);
      std::vector<Batch> out;
      while (const auto given = spool->take(room_, 0)) out.push_back(copy_of(given->entry));
      ASSERT_EQ(out, std::vector<Batch>(in.begin(), in.begin() + static_cast<ptrdiff_t>(fitting)));
    }
  }
}

TEST_F(SpoolTest, GivesNothingThatWasNotAppendedWhateverOctetChanged) {
  std::vector<Batch> in;
  {
    const auto spool = open({.segment_octets = 200});
    for (uint64_t i = 0; i < 4; ++i) in.push_back(batch(i, 20));
    for (const Batch& b : in) spool->append(b.entry());
  }
  ASSERT_GE(files().size(), 2u);
  std::vector<std::pair<std::string, std::string>> originals;
  for (const auto& file : files()) originals.emplace_back(file, test::contents_of(file));
  for (size_t f = 0; f < originals.size(); ++f) {
    for (size_t i = 0; i < originals[f].second.size(); ++i) {
      for (size_t o = 0; o < originals.size(); ++o) {
        std::string octets = originals[o].second;
        if (o == f) octets[i] = static_cast<char>(octets[i] ^ 0x41);
        std::ofstream(originals[o].first, std::ios::binary | std::ios::trunc) << octets;
      }
      std::filesystem::remove(dir() + "/cursor");
      auto opened = Spool::open({.dir = dir()});
      if (!opened) {
        ASSERT_NE(opened.error().message.find("version"), std::string::npos) << i;
        continue;
      }
      std::vector<Batch> out;
      while (const auto given = (*opened)->take(room_, 0)) out.push_back(copy_of(given->entry));
      ASSERT_LT(out.size(), in.size()) << "octet " << i;
      auto from = in.begin();
      for (const Batch& b : out) {
        from = std::find(from, in.end(), b);
        ASSERT_NE(from, in.end()) << "octet " << i;
        ++from;
      }
      ASSERT_GT((*opened)->counters().damaged_octets.value(), 0u);
      ASSERT_EQ((*opened)->counters().entries.value(), out.size());
    }
  }
}

TEST_F(SpoolTest, LeavesNothingOfAnEntryThatTheDiskDidNotTake) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto spool = open();
  EXPECT_EQ(spool->append(batch(0).entry()), SpoolAppend::stored);
  rlimit small = before;
  small.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &small);
  const SpoolAppend refused = spool->append(batch(1, 5000).entry());
  const std::string why = spool->last_error();
  const SpoolAppend fits = spool->append(batch(2).entry());
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(refused, SpoolAppend::write_error);
  EXPECT_NE(why.find("cannot be written: File too large"), std::string::npos) << why;
  EXPECT_EQ(fits, SpoolAppend::stored);
  EXPECT_EQ(spool->last_error(), "");
  EXPECT_EQ(spool->append(batch(3, 5000).entry()), SpoolAppend::stored);
  EXPECT_EQ(drain(*spool), (std::vector<Batch>{batch(0), batch(2), batch(3, 5000)}));
}

TEST_F(SpoolTest, GivesItsDiskBackWhereThatIsFullBeforeItsOwnBound) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto spool = open();  // far from its bound, and its file from half of a segment
  rlimit small = before;
  small.rlim_cur = 20'000;
  setrlimit(RLIMIT_FSIZE, &small);
  for (uint64_t outage = 0; outage < 3; ++outage) {
    size_t stored = 0;
    while (stored < 100 && spool->append(batch(stored, 5000).entry()) == SpoolAppend::stored) ++stored;
    EXPECT_EQ(stored, 3u) << "outage " << outage;
    EXPECT_EQ(drain(*spool).size(), stored);
  }
  // What is still wanted keeps its place.
  EXPECT_EQ(spool->append(batch(1, 5000).entry()), SpoolAppend::stored);
  EXPECT_EQ(spool->append(batch(2, 19'000).entry()), SpoolAppend::write_error);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(drain(*spool), std::vector<Batch>{batch(1, 5000)});
}

/// Against a plain list, with crashes: the folder as it is at any time is what a killed program leaves.
TEST_F(SpoolTest, LosesNothingHoweverOftenTheProgramIsKilled) {
  std::mt19937_64 random(20'261'120);
  std::map<std::string, Batch> waiting;  // appended and not released, by id
  std::vector<std::string> order;
  const SpoolConfig config{
      .octets_max = 1 << 20, .segment_octets = 3000, .sync = SpoolSync::never};
  auto spool = open(config);
  std::vector<std::pair<Spool::Place, std::string>> out;
  uint64_t number = 0;
  for (int step = 0; step < 4000; ++step) {
    switch (random() % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: {
        const Batch b = batch(++number, random() % 700);
        ASSERT_EQ(spool->append(b.entry()), SpoolAppend::stored);
        waiting[b.id] = b;
        order.push_back(b.id);
        break;
      }
      case 5:
      case 6:
      case 7:
      case 8:
        if (const auto given = spool->take(room_, 0)) {
          const Batch b = copy_of(given->entry);
          ASSERT_EQ(waiting.at(b.id), b);
          out.emplace_back(given->place, b.id);
        }
        break;
      case 9:
      case 10:
      case 11:
      case 12:
        if (!out.empty()) {
          const size_t i = random() % out.size();
          spool->release(out[i].first);
          waiting.erase(out[i].second);
          out.erase(out.begin() + static_cast<ptrdiff_t>(i));
        }
        break;
      case 13:
        spool->put_back_all();
        out.clear();
        break;
      case 14: spool->tick(static_cast<uint64_t>(step) * kNsPerSec); break;
      default: {
        if (random() % 8 != 0) break;
        // Killed: a copy of the folder, without what a destructor would do.
        const std::string image = folder_ / "image";
        std::filesystem::copy(dir(), image, std::filesystem::copy_options::recursive);
        spool.reset();
        out.clear();
        std::filesystem::remove_all(dir());
        std::filesystem::rename(image, dir());
        spool = open(config);
        // All that waited is there, in order; beside it only what had been released already.
        std::vector<std::string> ids;
        std::set<std::string> there;
        while (const auto given = spool->take(room_, 0)) {
          const Batch b = copy_of(given->entry);
          ids.push_back(b.id);
          there.insert(b.id);
          if (!waiting.contains(b.id)) {
            spool->release(given->place);
          } else {
            ASSERT_EQ(waiting.at(b.id), b);
          }
        }
        spool->put_back_all();
        for (const auto& [id, b] : waiting) ASSERT_TRUE(there.contains(id)) << id;
        auto from = order.begin();
        for (const std::string& id : ids) {
          from = std::find(from, order.end(), id);
          ASSERT_NE(from, order.end()) << id << " out of order";
          ++from;
        }
      }
    }
    ASSERT_EQ(spool->counters().entries.value(), waiting.size()) << "step " << step;
  }
  spool->put_back_all();
  EXPECT_EQ(drain(*spool).size(), waiting.size());
  EXPECT_EQ(spool->counters().damaged_octets.value(), 0u);
}

}  // namespace
}  // namespace weir::outbound
