#include "dataplane/xdp_program.h"

#include <linux/if_ether.h>
#include <netinet/in.h>

#include <cstddef>
#include <utility>

namespace weir::dataplane {
namespace {

constexpr unsigned kVlanTags = 2;
constexpr unsigned kExtensionHeaders = 4;

enum Register : uint8_t { r0, r1, r2, r3, r4, r5, context, offset, what, r9, frame };

/// `tag`, `extension` and `no_fragment` are the first of several: one each time round.
enum class Label : uint8_t {
  ip, v4, v6, udp, first_fragment, of_others, later_fragment, exporter, redirect, pass,
  tag,
  extension = tag + kVlanTags,
  no_fragment = extension + kExtensionHeaders,
  count_ = no_fragment + kExtensionHeaders
};

Label nth(Label first, unsigned n) { return static_cast<Label>(static_cast<unsigned>(first) + n); }

/// Instructions in the order in which they run; jumps name labels, which are places once all is there.
class Assembler {
 public:
  void place(Label label) { places_[static_cast<size_t>(label)] = code_.size(); }
  void set(Register to, int32_t value) { add(BPF_ALU64 | BPF_MOV | BPF_K, to, r0, 0, value); }
  void copy(Register to, Register from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from); }
  void add_value(Register to, int32_t value) { add(BPF_ALU64 | BPF_ADD | BPF_K, to, r0, 0, value); }
  void add_register(Register to, Register from) { add(BPF_ALU64 | BPF_ADD | BPF_X, to, from); }
  void xor_register(Register to, Register from) { add(BPF_ALU64 | BPF_XOR | BPF_X, to, from); }
  void shift_right(Register to, int32_t bits) { add(BPF_ALU64 | BPF_RSH | BPF_K, to, r0, 0, bits); }
  void mask(Register to, int32_t value) { add(BPF_ALU64 | BPF_AND | BPF_K, to, r0, 0, value); }
  void shift_left(Register to, int32_t bits) { add(BPF_ALU64 | BPF_LSH | BPF_K, to, r0, 0, bits); }
  /// 16 bits in network order become a number.
  void from_network(Register to) { add(BPF_ALU | BPF_END | BPF_TO_BE, to, r0, 0, 16); }
  void load(uint8_t size, Register to, Register from, int16_t at) { add(BPF_LDX | BPF_MEM | size, to, from, at); }
  void store(uint8_t size, Register to, int16_t at, Register from) { add(BPF_STX | BPF_MEM | size, to, from, at); }
  void store_value(uint8_t size, Register to, int16_t at, int32_t value) { add(BPF_ST | BPF_MEM | size, to, r0, at, value); }
  void load_map(Register to, int fd) {
    add(BPF_LD | BPF_DW | BPF_IMM, to, static_cast<Register>(BPF_PSEUDO_MAP_FD), 0, fd);
    add(0, r0, r0);
  }
  void call(int32_t function) { add(BPF_JMP | BPF_CALL, r0, r0, 0, function); }
  void jump(Label to) { jump_if(BPF_JA, r0, 0, to); }
  void jump_if(uint8_t condition, Register left, int32_t right, Label to) {
    jumps_.push_back({code_.size(), to});
    add(static_cast<uint8_t>(BPF_JMP | condition | BPF_K), left, r0, 0, right);
  }
  void exit() { add(BPF_JMP | BPF_EXIT, r0, r0); }

  std::vector<bpf_insn> finish() && {
    for (const Jump& jump : jumps_)
      code_[jump.from].off = static_cast<int16_t>(places_[static_cast<size_t>(jump.to)] - jump.from - 1);
    return std::move(code_);
  }

 private:
  struct Jump {
    size_t from;
    Label to;
  };

  void add(uint8_t code, Register to, Register from, int16_t at = 0, int32_t value = 0) {
    bpf_insn instruction{};
    instruction.code = code;
    instruction.dst_reg = to & 0xf;
    instruction.src_reg = from & 0xf;
    instruction.off = at;
    instruction.imm = value;
    code_.push_back(instruction);
  }

  std::vector<bpf_insn> code_;
  std::vector<Jump> jumps_;
  size_t places_[static_cast<size_t>(Label::count_)] = {};
};

constexpr int16_t kOctets = -48;  // on the stack: what was read last
constexpr int16_t kKey = -56;
constexpr int16_t kDatagram = -96;  // an XdpDatagram
static_assert(kDatagram + static_cast<int16_t>(sizeof(XdpDatagram)) <= kKey);
constexpr int16_t kSource = -104;  // the place of the source address

/// The octets of the frame from `offset` on; a frame that ends before is the kernel's.
void read(Assembler& a, int32_t octets) {
  a.copy(r1, context);
  a.copy(r2, offset);
  a.copy(r3, frame);
  a.add_value(r3, kOctets);
  a.set(r4, octets);
  a.call(BPF_FUNC_xdp_load_bytes);
  a.jump_if(BPF_JNE, r0, 0, Label::pass);
}
void take(Assembler& a, uint8_t size, Register to, int16_t at) { a.load(size, to, frame, static_cast<int16_t>(kOctets + at)); }

/// A part of the XdpDatagram.
void note(Assembler& a, uint8_t size, size_t member, Register from) {
  a.store(size, frame, static_cast<int16_t>(kDatagram + static_cast<int16_t>(member)), from);
}
void note_value(Assembler& a, uint8_t size, size_t member, int32_t value) {
  a.store_value(size, frame, static_cast<int16_t>(kDatagram + static_cast<int16_t>(member)), value);
}
/// What was read from `at` on, 8 octets at a time.
void note_address(Assembler& a, size_t member, int16_t at) {
  for (int16_t i = 0; i < 16; i = static_cast<int16_t>(i + 8)) {
    take(a, BPF_DW, r1, static_cast<int16_t>(at + i));
    note(a, BPF_DW, member + static_cast<size_t>(i), r1);
  }
}
void note_ipv4_address(Assembler& a, size_t member, int16_t at) {
  take(a, BPF_W, r1, at);
  note(a, BPF_W, member, r1);
  note_value(a, BPF_W, member + 4, 0);
  note_value(a, BPF_DW, member + 8, 0);
}
/// Of the source address, whose 4 or 16 octets were read from `at` on.
void note_source(Assembler& a, int16_t at, int octets) {
  if (octets == 4) {
    take(a, BPF_W, r1, at);
  } else {
    take(a, BPF_DW, r1, at);
    take(a, BPF_DW, r2, static_cast<int16_t>(at + 8));
    a.xor_register(r1, r2);
    a.copy(r2, r1);
    a.shift_right(r2, 32);
    a.xor_register(r1, r2);
  }
  a.copy(r2, r1);
  a.shift_right(r2, 16);
  a.xor_register(r1, r2);
  a.mask(r1, kXdpSources - 1);
  a.store(BPF_W, frame, kSource, r1);
}
/// r0: whether it is known to export, by pointer; null never comes, but the kernel does not know.
void look_up_source(Assembler& a, int exporters) {
  a.load_map(r1, exporters);
  a.copy(r2, frame);
  a.add_value(r2, kSource);
  a.call(BPF_FUNC_map_lookup_elem);
  a.jump_if(BPF_JEQ, r0, 0, Label::redirect);
}
void call_with_datagram(Assembler& a, int datagrams, int32_t function) {
  a.load_map(r1, datagrams);
  a.copy(r2, frame);
  a.add_value(r2, kDatagram);
  a.call(function);
}

void walk_link_layer(Assembler& a) {
  note_value(a, BPF_W, offsetof(XdpDatagram, vlan), 0);
  a.set(offset, 0);
  read(a, ETH_HLEN);
  a.set(offset, ETH_HLEN);
  take(a, BPF_H, what, offsetof(ethhdr, h_proto));
  for (unsigned i = 0; i < kVlanTags; ++i) {
    for (const uint16_t type : {uint16_t{ETH_P_8021Q}, uint16_t{ETH_P_8021AD}, uint16_t{0x9100}})
      a.jump_if(BPF_JEQ, what, htons(type), nth(Label::tag, i));
    a.jump(Label::ip);
    a.place(nth(Label::tag, i));
    read(a, 4);
    take(a, BPF_H, what, 0);
    a.mask(what, htons(0x0fff));
    note(a, BPF_W, offsetof(XdpDatagram, vlan), what);
    take(a, BPF_H, what, 2);
    a.add_value(offset, 4);
  }
  a.place(Label::ip);
  a.jump_if(BPF_JEQ, what, htons(ETH_P_IP), Label::v4);
  a.jump_if(BPF_JEQ, what, htons(ETH_P_IPV6), Label::v6);
  a.jump(Label::pass);
}

void walk_ipv4(Assembler& a) {
  a.place(Label::v4);
  read(a, 20);
  take(a, BPF_B, what, 9);
  a.jump_if(BPF_JNE, what, IPPROTO_UDP, Label::pass);
  note_source(a, 12, 4);
  take(a, BPF_B, what, 0);
  a.mask(what, 0x0f);
  a.shift_left(what, 2);
  a.add_register(offset, what);
  take(a, BPF_H, r9, 6);
  a.mask(r9, htons(0x3fff));  // more fragments, or behind the first
  a.jump_if(BPF_JEQ, r9, 0, Label::udp);
  take(a, BPF_H, r1, 4);
  note(a, BPF_W, offsetof(XdpDatagram, id), r1);
  note_ipv4_address(a, offsetof(XdpDatagram, src), 12);
  note_ipv4_address(a, offsetof(XdpDatagram, dst), 16);
  a.mask(r9, htons(0x1fff));
  a.jump_if(BPF_JEQ, r9, 0, Label::first_fragment);
  a.jump(Label::later_fragment);
}

void walk_ipv6(Assembler& a) {
  a.place(Label::v6);
  read(a, 40);
  note_address(a, offsetof(XdpDatagram, src), 8);  // what is read next is in its place
  note_address(a, offsetof(XdpDatagram, dst), 24);
  note_source(a, 8, 16);
  a.add_value(offset, 40);
  take(a, BPF_B, what, 6);
  for (unsigned i = 0; i < kExtensionHeaders; ++i) {
    a.jump_if(BPF_JEQ, what, IPPROTO_UDP, Label::udp);
    // Each of them begins with what follows it. The fragment header has 8 octets, and says UDP in every fragment.
    for (const int header : {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_FRAGMENT})
      a.jump_if(BPF_JEQ, what, header, nth(Label::extension, i));
    a.jump(Label::pass);
    a.place(nth(Label::extension, i));
    a.copy(r9, what);
    read(a, 2);
    take(a, BPF_B, what, 0);
    a.jump_if(BPF_JNE, r9, IPPROTO_FRAGMENT, nth(Label::no_fragment, i));
    a.jump_if(BPF_JNE, what, IPPROTO_UDP, Label::pass);
    read(a, 8);
    a.add_value(offset, 8);
    take(a, BPF_W, r1, 4);
    note(a, BPF_W, offsetof(XdpDatagram, id), r1);
    take(a, BPF_H, r9, 2);
    a.mask(r9, htons(0xfff9));  // the offset, and whether more follow
    a.jump_if(BPF_JEQ, r9, 0, Label::udp);
    a.mask(r9, htons(0xfff8));
    a.jump_if(BPF_JEQ, r9, 0, Label::first_fragment);
    a.jump(Label::later_fragment);
    a.place(nth(Label::no_fragment, i));
    take(a, BPF_B, r9, 1);
    a.add_value(r9, 1);
    a.shift_left(r9, 3);
    a.add_register(offset, r9);
  }
  a.jump_if(BPF_JEQ, what, IPPROTO_UDP, Label::udp);
  a.jump(Label::pass);
}

void look_at_port(Assembler& a, int ports, Label no_listener) {
  read(a, 4);
  take(a, BPF_H, what, 2);
  a.from_network(what);
  a.store(BPF_W, frame, kKey, what);
  a.load_map(r1, ports);
  a.copy(r2, frame);
  a.add_value(r2, kKey);
  a.call(BPF_FUNC_map_lookup_elem);
  a.jump_if(BPF_JEQ, r0, 0, no_listener);
  a.load(BPF_W, what, r0, 0);
  a.jump_if(BPF_JEQ, what, 0, no_listener);
}

/// The first has the port, and says for the others of its datagram whose they are. What comes before it is ours where its
/// source exports, whose fragments may come in any order, and else the kernel's.
void look_at_fragments(Assembler& a, const XdpMaps& maps) {
  a.place(Label::first_fragment);
  look_at_port(a, maps.ports, Label::of_others);
  call_with_datagram(a, maps.of_others, BPF_FUNC_map_delete_elem);  // identifications come round
  a.jump(Label::exporter);

  a.place(Label::of_others);
  a.store_value(BPF_W, frame, kKey, 1);
  a.copy(r3, frame);
  a.add_value(r3, kKey);
  a.set(r4, BPF_ANY);
  call_with_datagram(a, maps.of_others, BPF_FUNC_map_update_elem);
  a.jump(Label::pass);

  a.place(Label::later_fragment);
  call_with_datagram(a, maps.of_others, BPF_FUNC_map_lookup_elem);
  a.jump_if(BPF_JNE, r0, 0, Label::pass);
  look_up_source(a, maps.exporters);
  a.load(BPF_W, r1, r0, 0);
  a.jump_if(BPF_JEQ, r1, 0, Label::pass);
  a.jump(Label::redirect);
}

/// Who sends to a listener exports. Written once: the line is every core's.
void note_exporter(Assembler& a, int exporters) {
  a.place(Label::exporter);
  look_up_source(a, exporters);
  a.load(BPF_W, r1, r0, 0);
  a.jump_if(BPF_JNE, r1, 0, Label::redirect);
  a.store_value(BPF_W, r0, 0, 1);
}

}  // namespace

std::vector<bpf_insn> xdp_program(XdpScope scope, const XdpMaps& maps) {
  Assembler a;
  a.copy(context, r1);
  if (scope == XdpScope::listeners) {
    walk_link_layer(a);
    walk_ipv4(a);
    walk_ipv6(a);
    look_at_fragments(a, maps);
    a.place(Label::udp);
    look_at_port(a, maps.ports, Label::pass);
    note_exporter(a, maps.exporters);
  }
  a.place(Label::redirect);
  a.load(BPF_W, r2, context, offsetof(xdp_md, rx_queue_index));
  a.load_map(r1, maps.sockets);
  a.set(r3, XDP_PASS);
  a.call(BPF_FUNC_redirect_map);
  a.exit();
  if (scope == XdpScope::listeners) {
    a.place(Label::pass);
    a.set(r0, XDP_PASS);
    a.exit();
  }
  return std::move(a).finish();
}

}  // namespace weir::dataplane
