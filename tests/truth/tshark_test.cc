// Differential test: every capture of exports through `weir decode` and through tshark.
#include <gtest/gtest.h>

#include <iostream>

#include "support/captures.h"
#include "truth/differences.h"
#include "truth/tshark_compare.h"

namespace weir::truth {
namespace {

using test::CaptureFile;

TEST(Tshark, AgreesOnEveryValueThatBothKnow) {
  const std::vector<CaptureFile> files = test::read_captures_index();
  if (files.empty()) GTEST_SKIP() << "no captures in " << test::captures_folder();
  if (!has_tshark()) GTEST_SKIP() << "tshark is not installed";
  const char* const only = std::getenv("WEIR_TRUTH_ONLY");  // part of a name, for looking closer
  Report report;
  size_t compared_files = 0;
  for (const CaptureFile& file : files) {
    if (file.kind == "traffic" || !(file.has("NFv") || file.has("IPFIX") || file.has("sFlow")))
      continue;
    if (only != nullptr && file.name.find(only) == std::string::npos) continue;
    SCOPED_TRACE(file.name);
    compare_capture(file, report);
    ++compared_files;
  }
  std::cout << compared_files << " captures, ";
  report.print();
  for (const auto& [why, count] : report.explained) {
    EXPECT_TRUE(has_row(why)) << "docs/PROTOCOLS.md does not say why";
  }
  EXPECT_GT(report.values, only == nullptr ? 510'000u : 0u);
  EXPECT_EQ(report.unexplained, 0u);
}

}  // namespace
}  // namespace weir::truth
