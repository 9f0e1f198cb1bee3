#include "cli/weirctl_exporters.h"

#include <gmock/gmock.h>

#include <string>

namespace weir::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

/// What is printed of an exporter with these templates, while these want its records.
std::string printed(const json& templates, const json& readers, const char* protocol = "netflow_v9") {
  const json exporter = {{"address", "192.0.2.1"},
                         {"name", nullptr},
                         {"site", nullptr},
                         {"protocols", json::array({protocol})},
                         {"datagrams", {{"received", 1}, {"rejected", 0}}},
                         {"records", 1},
                         {"templates", templates.size()},
                         {"sets", {{"waiting", 0}, {"lost", 0}}},
                         {"sequence_lost", 0},
                         {"last_seen_ns", 1},
                         {"last_error", nullptr},
                         {"verdicts", json::array()},
                         {"quirks", json::array()},
                         {"clock", {{"skew_ms", nullptr}}},
                         {"domain_list", json::array()},
                         {"interfaces", json::array()},
                         {"sampling", json::array()},
                         {"template_list", templates},
                         {"detail", {{"cut", false}, {"record_readers", readers}, {"silent_cores", json::array()}}}};
  ::testing::internal::CaptureStdout();
  print_one_exporter(exporter, TemplateFields::counted);
  return ::testing::internal::GetCapturedStdout();
}

json template_of(const char* fused, const json& not_now = json()) {
  return {{"id", 256},       {"protocol", "netflow_v9"}, {"domain", 1},           {"kind", "data"}, {"port", nullptr},
          {"fields", json::array({"x"})}, {"record_octets", 4},       {"fused", fused},        {"not_fused_now", not_now}, {"defined_ns", 1}};
}

// Other listeners than those that want names fuse their records.
TEST(WeirctlExporters, DoNotCallFormsOffForTheSakeOfSomeListenersNames) {
  const json names = json::array({"inline_names"});
  for (const char* const fused : {"fused", "fused_with_elements"}) {
    const std::string text = printed(json::array({template_of(fused)}), names);
    EXPECT_THAT(text, HasSubstr("yes, not by listeners with inline_names"));
    EXPECT_THAT(text, Not(HasSubstr("off now")));
    EXPECT_THAT(printed(json::array({template_of(fused)}), json::array({"live_tail", "inline_names"})), HasSubstr("off now: live tail "));
  }
  const std::string v5 = printed(json::array(), names);
  EXPECT_THAT(v5, HasSubstr("fused forms: not by listeners with inline_names\n"));
  EXPECT_THAT(printed(json::array(), json::array({"rules", "inline_names"})), HasSubstr("fused forms: off now: rules\n"));
}

TEST(WeirctlExporters, SayThatNetflowV5IsFusedThoughItHasNoTemplates) {
  EXPECT_THAT(printed(json::array(), json::array(), "netflow_v5"), HasSubstr("fused forms: yes\n"));
  EXPECT_THAT(printed(json::array(), json::array({"live_tail"}), "netflow_v5"), HasSubstr("fused forms: off now: live tail"));
  EXPECT_THAT(printed(json::array(), json::array(), "sflow_5"), Not(HasSubstr("fused forms")));
}

TEST(WeirctlExporters, SayWhatKeepsElementsFromFormsOnlyWhereThereAreSome) {
  const json rules = json::array({"element_rules"});
  EXPECT_THAT(printed(json::array({template_of("fused")}), rules), Not(HasSubstr("off now")));
  EXPECT_THAT(printed(json::array({template_of("fused_with_elements")}), rules), HasSubstr("off now: element rules"));
  EXPECT_THAT(printed(json::array({template_of("variable_length")}), rules), HasSubstr("no: variable_length"));
}

TEST(WeirctlExporters, SayWhatOfTheirContentKeepsRecordsFromAForm) {
  const json templates = json::array({template_of("fused", "samplers_in_turn")});
  EXPECT_THAT(printed(templates, json::array()), HasSubstr("not now: samplers in turn"));
  EXPECT_THAT(printed(templates, json::array({"live_tail"})), HasSubstr("off now: live tail"));
}

}  // namespace
}  // namespace weir::cli
