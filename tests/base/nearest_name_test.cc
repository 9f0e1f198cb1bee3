#include "base/nearest_name.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace weir {
namespace {

TEST(NearestName, IsTheOneThatWasProbablyMeant) {
  constexpr std::string_view kNames[] = {"status", "exporters", "reload", "ready", "tail", "top"};
  const struct {
    std::string_view wrong, nearest;
  } cases[] = {{"statu", "status"}, {"stats", "status"},   {"exporter", "exporters"}, {"relaod", "reload"}, {"raedy", "ready"},
               {"tial", "tail"},    {"bogusbogus", ""},    {"", ""},                  {"exprters", "exporters"}};
  for (const auto& c : cases) EXPECT_EQ(nearest_name(c.wrong, kNames), c.nearest) << c.wrong;
}

TEST(NearestName, LongNamesAndNoNamesCostNothing) {
  const std::string_view name = "status";
  EXPECT_EQ(nearest_name(std::string(100'000, 'x'), std::span(&name, 1)), "");
  EXPECT_EQ(nearest_name("status", {}), "");
}

}  // namespace
}  // namespace weir
