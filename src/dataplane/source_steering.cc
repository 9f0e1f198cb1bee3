#include "dataplane/source_steering.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace weir::dataplane {
namespace {

// Of the IP header: where the source address lies, and how many words it has.
constexpr uint32_t kIpv4Source = 12;
constexpr uint32_t kIpv6Source = 8;
constexpr uint32_t kIpv6Words = 4;
constexpr uint32_t kMultiplier = 0x9E3779B1;  // odd; 2^32 divided by the golden ratio

constexpr sock_filter statement(uint32_t code, uint32_t k) {
  return {.code = static_cast<uint16_t>(code), .jt = 0, .jf = 0, .k = k};
}
constexpr uint32_t in_ip_header(uint32_t octet) { return static_cast<uint32_t>(SKF_NET_OFF) + octet; }

/// A = (A ^ M[0]) * kMultiplier, its upper half folded into the lower; M[0] = A.
void append_mix(std::vector<sock_filter>& program) {
  program.push_back(statement(BPF_LDX | BPF_MEM, 0));
  program.push_back(statement(BPF_ALU | BPF_XOR | BPF_X, 0));
  program.push_back(statement(BPF_ALU | BPF_MUL | BPF_K, kMultiplier));
  program.push_back(statement(BPF_MISC | BPF_TAX, 0));
  program.push_back(statement(BPF_ALU | BPF_RSH | BPF_K, 16));
  program.push_back(statement(BPF_ALU | BPF_XOR | BPF_X, 0));
  program.push_back(statement(BPF_ST, 0));
}

void append_words(std::vector<sock_filter>& program, uint32_t octet, uint32_t words) {
  for (uint32_t i = 0; i < words; ++i) {
    program.push_back(statement(BPF_LD | BPF_W | BPF_ABS, in_ip_header(octet + 4 * i)));
    append_mix(program);
  }
}

}  // namespace

std::vector<sock_filter> steering_program(uint16_t sockets, uint32_t seed) {
  std::vector<sock_filter> of_v4, of_v6, end;
  append_words(of_v4, kIpv4Source, 1);
  append_words(of_v6, kIpv6Source, kIpv6Words);
  end.push_back(statement(BPF_LD | BPF_MEM, 0));
  end.push_back(statement(BPF_ALU | BPF_MUL | BPF_K, kMultiplier));
  end.push_back(statement(BPF_ALU | BPF_RSH | BPF_K, 16));
  end.push_back(statement(BPF_ALU | BPF_MOD | BPF_K, sockets));
  end.push_back(statement(BPF_RET | BPF_A, 0));

  std::vector<sock_filter> program;
  program.push_back(statement(BPF_LD | BPF_IMM, seed));
  program.push_back(statement(BPF_ST, 0));
  program.push_back(statement(BPF_LD | BPF_B | BPF_ABS, in_ip_header(0)));
  program.push_back(statement(BPF_ALU | BPF_RSH | BPF_K, 4));
  of_v4.push_back(statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(of_v6.size())));
  program.push_back({.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = static_cast<uint8_t>(of_v4.size()), .k = 4});
  for (const auto* part : {&of_v4, &of_v6, &end}) program.insert(program.end(), part->begin(), part->end());
  return program;
}

Result<void> steer_by_source(int fd, uint16_t sockets, uint32_t seed) {
  std::vector<sock_filter> code = steering_program(sockets, seed);
  const sock_fprog program{.len = static_cast<uint16_t>(code.size()), .filter = code.data()};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0)
    return Error{fmt::format("SO_ATTACH_REUSEPORT_CBPF: {}", std::strerror(errno))};
  return {};
}

}  // namespace weir::dataplane
