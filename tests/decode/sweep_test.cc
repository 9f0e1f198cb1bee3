// Every truncation of every capture's datagrams, and each octet of them changed once.
//
// With WEIR_SWEEP_XOR=N (1 to 255) each octet is XORed with N, and nothing is truncated: scripts/sweep.sh
// runs them all.
#include "fuzz/sweep.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <set>

#include "fuzz/good_messages.h"
#include "support/captures.h"

namespace weir::decode {
namespace {

/// What each octet is XORed with: never 0.
class Changes {
 public:
  Changes() {
    if (const char* fixed = std::getenv("WEIR_SWEEP_XOR")) {
      fixed_ = static_cast<uint8_t>(std::strtoul(fixed, nullptr, 10));
    }
  }
  Sweep::Copies copies() const noexcept {
    return fixed_ != 0 ? Sweep::Copies::changed : Sweep::Copies::all;
  }
  uint8_t operator()(size_t at) noexcept {
    if (fixed_ != 0) return fixed_;
    state_ = (state_ ^ at) * 0x9E37'79B9'7F4A'7C15ull;
    state_ ^= state_ >> 29;
    return static_cast<uint8_t>(1 + state_ % 255);
  }

 private:
  uint8_t fixed_ = 0;
  uint64_t state_ = 20'261'120;
};

/// Captures of TCP, and files that hold something else, are no datagrams of ours.
bool is_export(const std::vector<uint8_t>& octets) noexcept {
  return octets.size() >= 4 && octets.size() < 65536 && load_be16(octets.data()) <= 10;
}

void tell(const SweepCount& n) {
  std::cout << n.datagrams << " datagrams, " << n.truncations << " truncations, " << n.changes
            << " changes, of which " << n.decoded << " were decoded; " << n.rebuilds
            << " times from the beginning\n";
}

TEST(Sweep, OfGoodMessages) {
  Changes change;
  Sweep sweep(change.copies());
  for (const auto& sequence : lab::good_messages()) {
    std::vector<test::Payload> payloads;
    for (const lab::Octets& octets : sequence) {
      payloads.push_back({octets, IpAddress::from_v4(0xC0000201u), 2055, test::kPayloadsNow});
    }
    sweep.run(payloads, std::ref(change), [](const test::Payload&) { return true; });
  }
  EXPECT_GT(sweep.count.changes, 5000u);
  EXPECT_GT(sweep.count.decoded, sweep.count.changes / 2);
  tell(sweep.count);
}

TEST(Sweep, OfEveryCapture) {
  const std::vector<test::CaptureFile> index = test::read_captures_index();
  if (index.empty()) GTEST_SKIP() << "no captures in " << test::captures_folder();
  Changes change;
  Sweep sweep(change.copies());
  // A datagram that is in several files, or several times in one, is swept where it is met first.
  std::set<std::vector<uint8_t>> seen;
  for (const test::CaptureFile& file : index) {
    if (file.kind == "traffic") continue;
    SCOPED_TRACE(file.name);
    const auto payloads = test::read_payloads(file.path());
    if (!payloads) continue;
    sweep.run(*payloads, std::ref(change), [&](const test::Payload& p) {
      return is_export(p.octets) && seen.insert(p.octets).second;
    });
  }
  EXPECT_GT(sweep.count.datagrams, 4000u);
  EXPECT_GT(sweep.count.decoded, sweep.count.changes / 2);
  tell(sweep.count);
}

}  // namespace
}  // namespace weir::decode
