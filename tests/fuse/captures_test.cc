// Every capture in ../shared/captures, and the generator's exporters, both ways by both kernels.
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "fuse/two_ways.h"
#include "lab/exporter_model.h"
#include "support/captures.h"
#include "support/payloads.h"

namespace weir::fuse {
namespace {

std::vector<Kernel> kernels() {
  if (best_kernel() == Kernel::portable) return {Kernel::portable};
  return {Kernel::portable, best_kernel()};
}

TwoWaysConfig config_of(Kernel kernel) {
  TwoWaysConfig c;
  c.kernel = kernel;
  c.decoder.listeners.resize(1);
  c.decoder.limits.exporters_max = 64;
  // Captures' own stamps are often made up: exporters' times are believed.
  c.decoder.limits.time_future_max_ns = 50ull * 366 * 86'400 * 1'000'000'000;
  c.batcher.buffers = 4;
  return c;
}

TEST(FusedCaptures, ComeToTheSameBatches) {
  if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  const std::vector<test::CaptureFile> index = test::read_captures_index();
  if (index.empty()) GTEST_SKIP() << "no captures in " << test::captures_folder();
  for (const Kernel kernel : kernels()) {
    size_t files = 0;
    uint64_t records = 0;
    uint64_t fused = 0;
    std::array<uint64_t, static_cast<size_t>(decode::FuseVerdict::count_)> verdicts{};
    for (const test::CaptureFile& file : index) {
      const auto payloads = test::read_payloads(file.path());
      if (!payloads) continue;
      SCOPED_TRACE(file.name);
      TwoWays ways(config_of(kernel));
      for (const test::Payload& p : *payloads) {
        if (p.octets.size() > decode::GuardedOctets::kOctetsMax) continue;
        ways.decode({.payload = p.octets,
                     .source = p.source,
                     .source_port = p.source_port,
                     .local_port = 2055,
                     .listener = {},
                     .received_ns = p.received_ns});
      }
      ways.finish();
      ++files;
      records += ways.records();
      fused += ways.fused();
      for (size_t i = 0; i < verdicts.size(); ++i) verdicts[i] += ways.with_forms().verdicts[i];
    }
    std::cout << files << " captures, " << records << " records, " << fused << " of them fused; templates:";
    for (size_t i = 0; i < verdicts.size(); ++i) {
      if (verdicts[i] != 0) std::cout << ' ' << name_of(static_cast<decode::FuseVerdict>(i)) << ' ' << verdicts[i];
    }
    std::cout << '\n';
    EXPECT_EQ(files, index.size()) << "each of them is read";
    EXPECT_GT(fused, 0u);
  }
}

TEST(FusedGenerator, ComesToTheSameBatches) {
  if (FusedWay::create() == nullptr) GTEST_SKIP() << "built without src/fuse";
  constexpr uint64_t kStart = 1'760'000'000ull * 1'000'000'000;
  for (const Kernel kernel : kernels()) {
    for (const lab::ExportProtocol protocol :
         {lab::ExportProtocol::netflow_v5, lab::ExportProtocol::netflow_v9,
          lab::ExportProtocol::ipfix}) {
      // With all that they can say: what has no form goes beside what has one.
      const lab::Extras all{.variable = true, .interfaces = true, .samplers = true, .nat = true, .bgp = true};
      for (const auto& [sampling, extras] :
           {std::pair{0u, lab::Extras{}}, std::pair{1000u, lab::Extras{}}, std::pair{1000u, all}}) {
        TwoWays ways(config_of(kernel));
        std::vector<lab::ExporterModel> exporters;
        for (uint32_t i = 0; i < 20; ++i) {
          exporters.emplace_back(lab::ExporterModelConfig{.protocol = protocol,
                                                          .sampling = sampling,
                                                          .extras = extras,
                                                          .seed = i,
                                                          .index = i,
                                                          .start_ns = kStart});
        }
        lab::ExportDatagram datagram;
        for (uint32_t n = 0; n < 2000; ++n) {
          const uint64_t now = kStart + n * 1'000'000ull;
          exporters[n % 20].next(now, datagram);
          ways.decode({.payload = datagram.octets,
                       .source = IpAddress::from_v4(0xC0000200u + n % 20),
                       .source_port = 2055,
                       .local_port = 2055,
                       .listener = {},
                       .received_ns = now + 1000});
        }
        ways.finish();
        EXPECT_GT(ways.records(), 10'000u);
        std::cout << "protocol " << static_cast<int>(protocol) << ", sampling " << sampling << ": "
                  << ways.fused() << " of " << ways.records() << " fused\n";
        if (protocol == lab::ExportProtocol::netflow_v5) {
          EXPECT_EQ(ways.taken(), ways.records());
          EXPECT_GT(ways.fused(), ways.records() * 9 / 10);
        }
      }
    }
  }
}

}  // namespace
}  // namespace weir::fuse
