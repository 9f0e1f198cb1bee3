#include "decode/times.h"

#include "base/byte_order.h"

namespace weir::decode {
namespace {

constexpr uint64_t kNtpToUnixSeconds = 2'208'988'800;  // from 1900 to 1970

// RFC 7011 §6.1.9: in dateTimeMicroseconds the bottom 11 bits of the fraction mean nothing.
constexpr uint32_t kMicrosecondsFractionMask = ~uint32_t{0x7ff};

uint64_t from_ntp(uint32_t seconds, uint32_t fraction, uint64_t units_per_second) noexcept {
  if (seconds < kNtpToUnixSeconds) return 0;
  // Rounded, so that a time made from whole units comes back as the same one.
  const uint64_t units = (fraction * units_per_second + (uint64_t{1} << 31)) >> 32;
  return (seconds - kNtpToUnixSeconds) * kNsPerSec + units * (kNsPerSec / units_per_second);
}

uint64_t scaled(uint64_t value, uint64_t ns) noexcept {
  uint64_t product;
  return __builtin_mul_overflow(value, ns, &product) ? 0 : product;
}

}  // namespace

uint64_t read_time(TimeKind kind, const uint8_t* p, uint32_t width, const TimeBase& base) noexcept {
  if (width == 0 || width > 8) return 0;
  const uint64_t value = load_be(p, width);
  const auto checked = [&base](uint64_t t) { return base.plausible(t) ? t : 0; };
  switch (kind) {
    case TimeKind::seconds: return checked(scaled(value, kNsPerSec));
    case TimeKind::milliseconds: return checked(scaled(value, kNsPerMs));
    case TimeKind::uptime:
      // NX-OS writes 8 octets; the low 32 bits are the uptime.
      return base.has_uptime ? checked(base.from_uptime(static_cast<uint32_t>(value))) : 0;
    case TimeKind::delta: {
      const uint64_t before = scaled(value, kNsPerUs);
      return before <= base.export_ns ? checked(base.export_ns - before) : 0;
    }
    case TimeKind::microseconds:
    case TimeKind::nanoseconds: {
      const bool micro = kind == TimeKind::microseconds;
      if (width == 8) {
        const auto seconds = static_cast<uint32_t>(value >> 32);
        const auto fraction = static_cast<uint32_t>(value);
        const uint32_t masked = micro ? fraction & kMicrosecondsFractionMask : fraction;
        if (const uint64_t t = checked(from_ntp(seconds, masked, micro ? 1'000'000 : kNsPerSec));
            t != 0)
          return t;
        // Citrix NetScaler: seconds since 1970 and plain microseconds (nanoseconds) behind them.
        const uint64_t plain = scaled(fraction, micro ? kNsPerUs : 1);
        if (plain < kNsPerSec) {
          if (const uint64_t t = checked(seconds * kNsPerSec + plain); t != 0) return t;
        }
      }
      // Others write the count since 1970.
      return checked(scaled(value, micro ? kNsPerUs : 1));
    }
    case TimeKind::count_: break;
  }
  return 0;
}

}  // namespace weir::decode
