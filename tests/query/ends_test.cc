#include "query/ends.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "query/check.h"

namespace weir::query {
namespace {

/// `src 192.0.2.1, dst 192.0.2.0-192.0.2.255; …`: clauses with semicolons between them.
std::string ends_text(std::string_view filter) {
  Plan plan;
  const auto error = plan_query(fmt::format("in:flows time:last_30d {} sort:bytes_total:desc", filter), 1'793'620'800'000'000, plan);
  EXPECT_FALSE(error) << filter << ": " << error->message;
  std::string text;
  for (const EndClause& clause : ends_of(plan)) {
    std::string ranges;
    for (const EndRange& range : clause) {
      ranges += fmt::format("{}{} {}", ranges.empty() ? "" : ", ", name_of(range.end), range.first.to_string());
      if (range.first != range.last) ranges += "-" + range.last.to_string();
    }
    text += (text.empty() ? "" : "; ") + ranges;
  }
  return text;
}

TEST(Ends, AreWhatAFilterNeeds) {
  EXPECT_EQ(ends_text(""), "");
  EXPECT_EQ(ends_text("dst_port:443"), "");
  EXPECT_EQ(ends_text("src_ip:192.0.2.1"), "src 192.0.2.1");
  EXPECT_EQ(ends_text("dst_ip:2001:db8::1"), "dst 2001:db8::1");
  EXPECT_EQ(ends_text("dst_ip:(192.0.2.1,192.0.2.7)"), "dst 192.0.2.1, dst 192.0.2.7");
  EXPECT_EQ(ends_text("ip:192.0.2.1"), "src 192.0.2.1, dst 192.0.2.1");
  EXPECT_EQ(ends_text("cidr:192.0.2.0/24 dst_port:443"), "src 192.0.2.0-192.0.2.255, dst 192.0.2.0-192.0.2.255");
  EXPECT_EQ(ends_text("src_ip:192.0.2.1 dst_ip:192.0.2.2"), "src 192.0.2.1; dst 192.0.2.2");
  EXPECT_EQ(ends_text("src_ip:192.0.2.1-192.0.2.9"), "src 192.0.2.1-192.0.2.9");
}

TEST(Ends, OfOneOrAnotherAreTogether) {
  EXPECT_EQ(ends_text("(src_ip:192.0.2.1 OR dst_ip:192.0.2.2)"), "src 192.0.2.1, dst 192.0.2.2");
  EXPECT_EQ(ends_text("(src_ip:192.0.2.1 OR dst_port:443)"), "") << "any address may have that port";
  EXPECT_EQ(ends_text("((src_ip:192.0.2.1 dst_ip:192.0.2.2) OR (src_ip:192.0.2.2 dst_ip:192.0.2.1))"), "src 192.0.2.1, src 192.0.2.2");
  EXPECT_EQ(ends_text("((src_ip:192.0.2.1 dst_port:443) OR src_ip:192.0.2.3)"), "src 192.0.2.1, src 192.0.2.3");
}

TEST(Ends, NothingIsKnownOfWhatIsNotThere) {
  EXPECT_EQ(ends_text("!src_ip:192.0.2.1"), "");
  EXPECT_EQ(ends_text("!(src_ip:192.0.2.1 OR src_ip:192.0.2.2)"), "");
  EXPECT_EQ(ends_text("src_ip:192.0.2.1 !dst_ip:192.0.2.2"), "src 192.0.2.1");
  EXPECT_EQ(ends_text("src_ip:>192.0.2.1"), "");
  EXPECT_EQ(ends_text("sampler_address:192.0.2.1"), "") << "no end";
}

TEST(Ends, WideRangesAreNotSaid) {
  EXPECT_EQ(ends_text("src_cidr:198.51.96.0/20"), "src 198.51.96.0-198.51.111.255");
  EXPECT_EQ(ends_text("src_cidr:198.51.96.0/19"), "");
  EXPECT_EQ(ends_text("src_ip:192.0.2.255-192.0.3.1"), "src 192.0.2.255-192.0.3.1");
  EXPECT_EQ(ends_text("src_ip:192.0.15.255-192.0.16.0"), "") << "they have 19 bits in common";
  EXPECT_EQ(ends_text("src_cidr:2001:db8:0:100::/56"), "src 2001:db8:0:100::-2001:db8:0:1ff:ffff:ffff:ffff:ffff");
  EXPECT_EQ(ends_text("src_cidr:2001:db8::/48"), "");
}

TEST(Ends, AreBounded) {
  std::string list, clauses;
  for (int i = 1; i <= 17; ++i) {
    list += fmt::format("{}192.0.2.{}", i == 1 ? "" : ",", i);
    clauses += fmt::format(" src_cidr:192.0.{}.0/24", i);
  }
  EXPECT_EQ(ends_text(fmt::format("src_ip:({})", list)), "");
  const std::string sixteen = ends_text(fmt::format("src_ip:({})", list.substr(0, list.rfind(','))));
  EXPECT_EQ(std::count(sixteen.begin(), sixteen.end(), ','), 15);
  const std::string eight = ends_text(clauses);
  EXPECT_EQ(std::count(eight.begin(), eight.end(), ';'), 7);
}

}  // namespace
}  // namespace weir::query
