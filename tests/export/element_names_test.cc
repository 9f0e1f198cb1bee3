// Elements' names: IANA's as generated from the registry, enterprises', reverse ones.
#include "export/element_names.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace weir::outbound {
namespace {

namespace fs = std::filesystem;

fs::path source_root() {
  const char* root = std::getenv("WEIR_SOURCE_ROOT");
  return root != nullptr ? fs::path(root) : fs::current_path();
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string run(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) != 0;) {
    out.append(buffer.data(), n);
  }
  ::pclose(pipe);
  return out;
}

TEST(ElementNames, AreWhatTheScriptMakesOfTheRegistry) {
  const fs::path registry =
      source_root() / ".." / "shared" / "registry" / "iana-ipfix-information-elements.csv";
  if (!fs::exists(registry)) GTEST_SKIP() << "no registry at " << registry;
  const fs::path script = source_root() / "scripts" / "generate_elements.awk";
  const std::string made = run("awk -f '" + script.string() + "' '" + registry.string() + "'");
  EXPECT_GT(made.size(), 10'000u);
  EXPECT_EQ(made, read_file(source_root() / "src" / "export" / "iana_elements.inc"));
}

TEST(ElementNames, OfIana) {
  const auto element = find_element(0, 203);
  ASSERT_TRUE(element);
  EXPECT_EQ(element->name, "mplsTopLabelExp");
  EXPECT_EQ(element->type, ElementDataType::unsigned8);
  EXPECT_FALSE(element->reverse);
  EXPECT_EQ(find_element(0, 1)->name, "octetDeltaCount");
  EXPECT_EQ(find_element(0, 529)->name, "udpUnsafeExIDList");
  EXPECT_FALSE(find_element(0, 0));
  EXPECT_FALSE(find_element(0, 9000));
  EXPECT_FALSE(find_element(0, 65'536 + 1));
}

TEST(ElementNames, OfTheOtherDirection) {
  EXPECT_EQ(find_element(29305, 184)->name, "tcpSequenceNumber");
  EXPECT_TRUE(find_element(29305, 184)->reverse);
  EXPECT_FALSE(find_element(29305, 9000));
  EXPECT_EQ(find_element(6871, 0x4000 | 14)->name, "initialTCPFlags");
  EXPECT_TRUE(find_element(6871, 0x4000 | 14)->reverse);
}

TEST(ElementNames, OfEnterprises) {
  EXPECT_EQ(find_element(9, 12'235)->name, "appHTTPHost");
  EXPECT_EQ(find_element(9, 12'361)->name, "nvzFlowLoggedInUserAccountType");
  EXPECT_EQ(find_element(637, 93)->name, "aluNatSubString");
  EXPECT_EQ(find_element(6871, 14)->name, "initialTCPFlags");
  EXPECT_EQ(find_element(6876, 881)->type, ElementDataType::ipv4Address);
  EXPECT_EQ(find_element(35632, 118)->name, "L7_PROTO");
  EXPECT_EQ(find_element(41916, 4321)->name, "viptelaVpnId");
  EXPECT_FALSE(find_element(9, 1));
  EXPECT_FALSE(find_element(99'999, 1));
}

TEST(ElementNames, OfVendorsInNetflowV9) {
  EXPECT_EQ(find_element(0, 33'002)->name, "firewallExtendedEvent");
  EXPECT_EQ(find_element(0, 40'000)->type, ElementDataType::string);
  EXPECT_EQ(find_element(0, 57'472 + 118)->name, "L7_PROTO") << "nProbe's without an enterprise";
}

}  // namespace
}  // namespace weir::outbound
