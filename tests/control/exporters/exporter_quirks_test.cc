#include "control/exporters/exporter_quirks.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "control/http/routes.h"

namespace weir::control {
namespace {

using decode::Quirk;

TEST(ExporterQuirks, HaveEachAMeaningOfTheirOwn) {
  std::set<std::string_view> texts;
  for (size_t i = 0; i < static_cast<size_t>(Quirk::count_); ++i) {
    const std::string_view text = meaning_of(static_cast<Quirk>(i));
    EXPECT_FALSE(text.empty()) << name_of(static_cast<Quirk>(i));
    EXPECT_TRUE(texts.insert(text).second) << text;
  }
}

TEST(ExporterQuirks, AreShownWhereThereAreAny) {
  decode::ExporterStats e;
  EXPECT_TRUE(exporter_json(ApplianceView{}, e)["quirks"].empty());
  e.quirks[static_cast<size_t>(Quirk::odd_width)] = 2;
  e.quirks[static_cast<size_t>(Quirk::count_mismatch)] = UINT32_MAX;
  const nlohmann::json quirks = exporter_json(ApplianceView{}, e)["quirks"];
  ASSERT_EQ(quirks.size(), 2u);
  EXPECT_EQ(quirks[0]["quirk"], "odd_width");
  EXPECT_EQ(quirks[0]["count"], 2);
  EXPECT_EQ(quirks[1]["quirk"], "count_mismatch");
  EXPECT_EQ(quirks[1]["count"], UINT32_MAX);
  EXPECT_EQ(quirks[1]["text"], std::string(meaning_of(Quirk::count_mismatch)));
}

}  // namespace
}  // namespace weir::control
