// named_metrics.h — What a file of deploy/ calls metrics, against what a program's /metrics has.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace weir::test {

/// Each name in the file that begins with `prefix` is a metric on the page, and there are at least ten.
inline void expect_named_metrics_on(const std::string& page, const std::string& file, const std::string& prefix) {
  std::set<std::string> known;
  const std::regex type("# TYPE ([a-z0-9_]+) ");
  for (std::sregex_iterator it(page.begin(), page.end(), type), end; it != end; ++it) known.insert((*it)[1]);
  const char* const root = std::getenv("WEIR_SOURCE_ROOT");
  std::ifstream in(std::string(root != nullptr ? root : ".") + "/" + file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::set<std::string> named;
  const std::regex metric(prefix + "_[a-z0-9_]+");
  for (std::sregex_iterator it(text.begin(), text.end(), metric), end; it != end; ++it) named.insert(it->str());
  EXPECT_GE(named.size(), 10u) << file;
  for (const std::string& name : named) EXPECT_TRUE(known.count(name)) << file << ": " << name << " is in no answer of /metrics";
}

}  // namespace weir::test
