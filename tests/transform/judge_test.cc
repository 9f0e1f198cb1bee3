// The judges themselves: of sample events that others made and judged they say the same.
#include <gtest/gtest.h>

#include "transform/judge.h"

namespace weir::test {
namespace {

using nlohmann::json;

TEST(OcsfJudges, SayOfTheSampleEventsWhatIsExpectedOfThem) {
  if (!has_ocsf_schema()) GTEST_SKIP() << "no OCSF schema in " << ocsf_folder();
  const json schema = read_json(ocsf_folder() / "network_activity-1.7.0.slim.schema.json");
  const JsonSchema listed(schema), all(schema, Profiles::all), none(schema, Profiles::none);
  const json all_expected = read_json(ocsf_folder() / "events" / "EXPECT.json");
  for (const auto& [name, expected] : all_expected.items()) {
    SCOPED_TRACE(name);
    const json event = read_json(ocsf_folder() / "events" / (name + ".json"));
    const auto errors = listed.errors_of(event);
    EXPECT_EQ(errors.empty(), expected["gated"] == 1) << json(errors).dump(1);
    EXPECT_EQ(all.errors_of(event).empty(), expected["all"] == 1);
    EXPECT_EQ(none.errors_of(event).empty(), expected["none"] == 1);
  }
  EXPECT_GE(all_expected.size(), 45u);
}

}  // namespace
}  // namespace weir::test
