#include "control/books_audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::control {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class BooksAuditTest : public testing::Test {
 protected:
  /// As a core would tell it, with `lost` records that are in no account.
  void check(uint64_t decoded, uint64_t lost) {
    CoreBooks books;
    books.ledger.records = decoded;
    books.ledger.encoded = decoded - lost;
    books.records_open = 7;
    books.records_sealed = decoded - lost - 7;
    audit_.on_check("core 0", books.discrepancies());
  }

  std::vector<std::string> said_;
  BooksAudit audit_{[this](const std::string& line) { said_.push_back(line); }};
};

TEST_F(BooksAuditTest, SaysNothingWhileTheBooksBalance) {
  for (uint64_t decoded = 100; decoded < 100'000; decoded *= 3) check(decoded, 0);
  EXPECT_THAT(said_, IsEmpty());
  EXPECT_THAT(audit_.standing(), IsEmpty());
  EXPECT_EQ(audit_.mismatches(), 0u);
}

TEST_F(BooksAuditTest, TellsADifferenceAtOnceAndOnceWhileItStays) {
  check(100, 3);
  check(200, 3);
  EXPECT_THAT(said_, ElementsAre("core 0: records: 3 are not accounted for"));
  EXPECT_EQ(audit_.standing(), said_);
  EXPECT_EQ(audit_.mismatches(), 2u) << "checks that failed";
}

TEST_F(BooksAuditTest, TellsALeakThatGrowsEachTime) {
  for (uint64_t i = 1; i <= 4; ++i) check(1000 * i, 10 * i);
  EXPECT_EQ(said_.size(), 4u);
  EXPECT_THAT(audit_.standing(), ElementsAre("core 0: records: 40 are not accounted for"));
}

TEST_F(BooksAuditTest, TakesBackWhatIsInOrderAgain) {
  check(100, 3);
  check(200, 0);
  EXPECT_THAT(audit_.standing(), IsEmpty());
  EXPECT_EQ(audit_.mismatches(), 1u);
}

TEST_F(BooksAuditTest, KeepsTheBooksOfEachApart) {
  check(100, 3);
  audit_.on_check("publisher a", {{"records", -2}});
  audit_.on_check("publisher b", {});
  EXPECT_THAT(audit_.standing(), ElementsAre("core 0: records: 3 are not accounted for",
                                             "publisher a: records: 2 too many are accounted for"));
}

TEST(CoreBooks, HoldsTheEncoderToItsBatches) {
  CoreBooks books;
  books.ledger.records = books.ledger.encoded = 100;
  books.records_open = 30;
  books.records_sealed = 70;
  EXPECT_TRUE(books.discrepancies().empty());
  --books.records_open;
  ASSERT_EQ(books.discrepancies().size(), 1u);
  EXPECT_EQ(books.discrepancies()[0].text(), "encoded records: 1 are not accounted for");
}

}  // namespace
}  // namespace weir::control
