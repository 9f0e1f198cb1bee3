// Which messages are known: runs against a plain set, ids of every form, and what is forgotten.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "store/identity_ledger.h"

namespace weir::store {
namespace {

TEST(RunSet, KnowsWhatItTook) {
  RunSet set;
  EXPECT_EQ(set.add({1}), Verdict::fresh);
  EXPECT_EQ(set.add({2}), Verdict::fresh);
  EXPECT_EQ(set.add({1}), Verdict::repeated);
  EXPECT_EQ(set.add({5}), Verdict::fresh);
  EXPECT_EQ(set.runs(), 2u);
  EXPECT_EQ(set.add({3}), Verdict::fresh);  // late, from a spool
  EXPECT_EQ(set.add({4}), Verdict::fresh);
  EXPECT_EQ(set.runs(), 1u);
  EXPECT_EQ(set.high(), 5u);
  EXPECT_EQ(set.to_text(), "1-5");
}

TEST(RunSet, TellsPartsApart) {
  RunSet set;
  EXPECT_EQ(set.add({7, 0}), Verdict::fresh);
  EXPECT_EQ(set.add({7, 1}), Verdict::fresh);
  EXPECT_EQ(set.add({7, 1}), Verdict::repeated);
  EXPECT_EQ(set.add({8, 0}), Verdict::fresh);
  EXPECT_EQ(set.to_text(), "7-7.1 8-8.0");
  EXPECT_EQ(set.add({7, 2}), Verdict::fresh);
  EXPECT_EQ(set.add({7}), Verdict::unsure);  // the whole of what came in parts before
  EXPECT_EQ(set.to_text(), "7-8.0");
  EXPECT_EQ(set.add({7, 3}), Verdict::repeated);
}

/// Against a set of numbers: small ones, so that all there is happens.
TEST(RunSet, IsAsAPlainSet) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    RunSet set;
    std::set<std::pair<uint64_t, uint32_t>> plain;
    const uint64_t sequences = 1 + random() % 40;
    for (int step = 0; step < 200; ++step) {
      const uint64_t sequence = 1 + random() % sequences;
      const bool in_parts = sequence % 3 == 0;  // the same each time, as a collector does it
      const uint32_t part = in_parts ? static_cast<uint32_t>(random() % 4) : BatchPlace::kWhole;
      const bool is_new = plain.emplace(sequence, part).second;
      ASSERT_EQ(set.add({sequence, part}), is_new ? Verdict::fresh : Verdict::repeated) << sequence << '.' << part;
      if (step % 50 == 0) {
        const auto again = RunSet::parse(set.to_text());
        ASSERT_TRUE(again) << set.to_text();
        ASSERT_EQ(*again, set);
      }
    }
    ASSERT_EQ(set.high(), plain.rbegin()->first);
  }
}

TEST(RunSet, StoresWhatIsOlderThanItRemembers) {
  RunSet set;
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(set.add({1 + 2 * i}, 4), Verdict::fresh);
  EXPECT_EQ(set.runs(), 4u);
  EXPECT_TRUE(set.has_forgotten());
  EXPECT_EQ(set.add({1}, 4), Verdict::unsure);
  EXPECT_EQ(set.add({2}, 4), Verdict::unsure);
  EXPECT_EQ(set.add({19}, 4), Verdict::repeated);
  EXPECT_EQ(set.add({18}, 4), Verdict::fresh);
  EXPECT_EQ(RunSet::parse(set.to_text()), set);
}

TEST(RunSet, HoldsTheLastNumbersThatThereAre) {
  RunSet set;
  EXPECT_EQ(set.add({UINT64_MAX}), Verdict::fresh);
  EXPECT_EQ(set.add({UINT64_MAX}), Verdict::repeated);
  EXPECT_EQ(set.add({UINT64_MAX - 1}), Verdict::fresh);
  EXPECT_EQ(set.add({0}), Verdict::fresh);
  EXPECT_EQ(RunSet::parse(set.to_text()), set);
}

TEST(RunSet, ReadsNoTextThatIsNone) {
  for (const char* text : {"x", "1", "5-3", "1-2 2-3", "1-2 3-4", "1-2  5-6", "floor 7", "floor 9; 3-4", "1.x-2", "1-2 "}) {
    EXPECT_FALSE(RunSet::parse(text)) << text;
  }
  EXPECT_TRUE(RunSet::parse(""));
}

MessageName named(std::string_view id, uint64_t sequence = 9) {
  return name_of_message({.id = id, .stream = "events", .stream_created = "2026-01-01", .stream_sequence = sequence});
}

TEST(MessageName, IsReadFromIdsOfCollectors) {
  const MessageName name = named("0a1b-uuid.1700000000.3.42");
  EXPECT_EQ(name.source, "0a1b-uuid.1700000000.3");
  EXPECT_EQ(name.place.sequence, 42u);
  EXPECT_EQ(name.place.part, BatchPlace::kWhole);
  EXPECT_EQ(named("u.1.0.42.17").place.part, 17u);
  EXPECT_EQ(named("u.1.0.42.17").source, "u.1.0");
}

TEST(MessageName, IsTheIdWhereThatHasAnotherForm) {
  for (const char* id : {"twice", "a.b.c.d", "u.1.0", "u.1.0.1.2.3", "u.01.0.1", "u.1.0.-1", ".1.0.1", "u.1.0.1.", "u.1.0.",
                         "u.1.0.1.4294967295", "u.1.4294967296.1", "u.1.0.18446744073709551616"}) {
    EXPECT_EQ(named(id).id, id);
    EXPECT_EQ(named(id).source, "") << id;
  }
}

TEST(MessageName, IsThePlaceInTheStreamWithoutAnId) {
  EXPECT_EQ(named("").source, "events@2026-01-01");
  EXPECT_EQ(named("").place.sequence, 9u);
}

TEST(MessageName, IsThePlaceInTheStreamWhereTheIdIsTooLongToBeRemembered) {
  const std::string longest(256, 'x'), longer(257, 'x');
  EXPECT_EQ(named(longest, 7).id, longest);
  EXPECT_EQ(named(longer, 7).id, "");
  EXPECT_EQ(named(longer, 7).source, named("", 7).source);
  EXPECT_EQ(named(longer, 7).place.sequence, 7u);
}

TEST(IdentityLedger, KeepsSourcesApart) {
  IdentityLedger ledger;
  EXPECT_EQ(ledger.take(named("u.1.0.1")), Verdict::fresh);
  EXPECT_EQ(ledger.take(named("u.1.1.1")), Verdict::fresh);   // another core
  EXPECT_EQ(ledger.take(named("u.2.0.1")), Verdict::fresh);   // another start
  EXPECT_EQ(ledger.take(named("v.1.0.1")), Verdict::fresh);
  EXPECT_EQ(ledger.take(named("u.1.0.1")), Verdict::repeated);
  EXPECT_EQ(ledger.take(named("", 1)), Verdict::fresh);
  EXPECT_EQ(ledger.take(named("", 1)), Verdict::repeated);
  EXPECT_EQ(ledger.take(named("mine")), Verdict::fresh);
  EXPECT_EQ(ledger.take(named("mine")), Verdict::repeated);
}

TEST(IdentityLedger, ForgetsWhatWasQuietLongest) {
  IdentityLedger ledger({.sources_max = 2, .ids_max = 2});
  ledger.take(named("a.1.0.1"));
  ledger.take(named("b.1.0.1"));
  ledger.take(named("a.1.0.2"));
  ledger.take(named("c.1.0.1"));
  EXPECT_EQ(ledger.sources(), 2u);
  EXPECT_EQ(ledger.sources_forgotten(), 1u);
  EXPECT_EQ(ledger.take(named("a.1.0.2")), Verdict::repeated);
  EXPECT_EQ(ledger.take(named("b.1.0.1")), Verdict::fresh);  // stored twice rather than not at all
  for (const char* id : {"x", "y", "z"}) EXPECT_EQ(ledger.take(named(id)), Verdict::fresh);
  EXPECT_EQ(ledger.ids(), 2u);
  EXPECT_EQ(ledger.ids_forgotten(), 1u);
  EXPECT_EQ(ledger.take(named("z")), Verdict::repeated);
  EXPECT_EQ(ledger.take(named("x")), Verdict::fresh);
}

/// A process that dies after any commit, and reads what was stored, knows what was in it.
TEST(IdentityLedger, IsWhatItsChangesMakeOfIt) {
  std::mt19937_64 random(3);
  const IdentityLedger::Limits limits{.sources_max = 4, .runs_max = 8, .ids_max = 6};
  std::vector<std::pair<std::string, std::string>> sources;  // oldest first
  std::vector<std::string> ids;
  IdentityLedger ledger(limits);
  for (int commit = 0; commit < 400; ++commit) {
    for (uint64_t i = 0; i < random() % 8; ++i) {
      ledger.take(random() % 4 == 0 ? named("id" + std::to_string(random() % 20))
                                    : named("s" + std::to_string(random() % 6) + ".1.0." + std::to_string(random() % 30)));
    }
    const auto changes = ledger.changes();
    for (const auto& change : changes.sources) {
      std::erase_if(sources, [&](const auto& s) { return s.first == change.source; });
      if (!change.runs.empty()) sources.emplace_back(change.source, change.runs);
    }
    ids.insert(ids.end(), changes.ids.begin(), changes.ids.end());
    for (const std::string& gone : changes.ids_forgotten) ids.erase(std::find(ids.begin(), ids.end(), gone));
    if (commit % 7 != 0) continue;
    IdentityLedger again(limits);
    for (const auto& [source, runs] : sources) ASSERT_TRUE(again.restore_source(source, runs));
    for (const std::string& id : ids) again.restore_id(id);
    ASSERT_EQ(again.sources(), ledger.sources());
    ASSERT_EQ(again.ids(), ledger.ids());
    ASSERT_TRUE(again.changes().empty());
    for (int s = 0; s < 6; ++s) {
      for (int n = 0; n < 30; ++n) {
        IdentityLedger one = again, other = ledger;
        const MessageName name = named("s" + std::to_string(s) + ".1.0." + std::to_string(n));
        ASSERT_EQ(one.take(name), other.take(name));
      }
    }
  }
}

}  // namespace
}  // namespace weir::store
