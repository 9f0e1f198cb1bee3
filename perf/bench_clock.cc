// bench_clock — What a core's one look at the clock costs: by ticks, and by asking the kernel.
//
//     bench_clock [--smoke]
//
// Both in one run, turn by turn, so that whatever else the machine does meets both.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "dataplane/timekeeper.h"

namespace {

using namespace weir;
using namespace weir::dataplane;

template <class Look>
double ns_per_look(unsigned looks, Look look) {
  const uint64_t begin_ns = steady_clock_ns();
  for (unsigned i = 0; i < looks; ++i) look();
  return static_cast<double>(steady_clock_ns() - begin_ns) / looks;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const unsigned looks = is_smoke ? 1000 : 200'000;
  const int rounds = is_smoke ? 3 : 31;
  Timekeeper never_kept(/*has_even_ticks=*/false);
  Timekeeper keeper;
  const RoleScope role(control_thread);
  for (unsigned i = 0; i < ClockDiscipline::kAgreeingMin + 5; ++i) {
    keeper.step(steady_clock_ns());
    std::this_thread::sleep_for(std::chrono::nanoseconds(kKeepEveryNs));
  }
  CoreClock by_ticks(keeper), by_kernel(never_kept);
  uint64_t sum = 0;
  std::vector<double> ticks, kernel, both;
  for (int i = 0; i < rounds; ++i) {
    keeper.step(steady_clock_ns());
    ticks.push_back(ns_per_look(looks, [&] { by_ticks.look(), sum += by_ticks.wall_ns(); }));
    kernel.push_back(ns_per_look(looks, [&] { by_kernel.look(), sum += by_kernel.wall_ns(); }));
    both.push_back(ns_per_look(looks, [&] { sum += steady_clock_ns() + wall_clock_ns(); }));
  }
  std::printf("{\"ticks\": \"%s\", \"look_ticks_ns\": %.1f, \"look_kernel_ns\": %.1f, \"two_clock_gettime_ns\": %.1f, \"ratio\": %.2f, \"hash\": %u}\n",
              std::string(name_of(keeper.stats().trouble)).c_str(), median(ticks), median(kernel), median(both),
              median(kernel) / median(ticks), static_cast<unsigned>(sum % 7));
  return 0;
}
