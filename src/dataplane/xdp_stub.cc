#include "dataplane/xdp_stub.h"

#include <bpf/btf.h>
#include <elf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/xdp_program.h"

namespace weir::dataplane {
namespace {

constexpr uint32_t kPointerOctets = 8;
constexpr uint32_t kMapMembers = 4;

/// `struct { int (*type)[BPF_MAP_TYPE_XSKMAP]; … } xsks_map` in the section `.maps`: a number is an array's length.
std::string map_description() {
  const std::unique_ptr<btf, decltype(&btf__free)> types(btf__new_empty(), btf__free);
  if (types == nullptr) return {};
  btf* const t = types.get();
  const int integer = btf__add_int(t, "int", 4, BTF_INT_SIGNED);
  const struct {
    const char* name;
    uint32_t value;
  } members[kMapMembers] = {
      {"type", BPF_MAP_TYPE_XSKMAP}, {"key_size", 4}, {"value_size", 4}, {"max_entries", kXdpQueuesMax}};
  std::array<int, kMapMembers> pointers{};
  for (size_t i = 0; i < kMapMembers; ++i)
    pointers[i] = btf__add_ptr(t, btf__add_array(t, integer, integer, members[i].value));
  const int map = btf__add_struct(t, nullptr, kMapMembers * kPointerOctets);
  for (uint32_t i = 0; i < kMapMembers; ++i)
    if (btf__add_field(t, members[i].name, pointers[i], i * kPointerOctets * 8, 0) != 0) return {};
  const int variable = btf__add_var(t, "xsks_map", BTF_VAR_GLOBAL_ALLOCATED, map);
  if (btf__add_datasec(t, ".maps", kMapMembers * kPointerOctets) < 0 ||
      btf__add_datasec_var_info(t, variable, 0, kMapMembers * kPointerOctets) != 0)
    return {};
  uint32_t octets = 0;
  const void* const data = btf__raw_data(t, &octets);
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), octets);
}

template <class T>
std::string octets_of(const T& object) {
  return {reinterpret_cast<const char*>(&object), sizeof object};
}

/// Sections behind one another, then their headers. Names are looked up in the first section.
class ElfFile {
 public:
  void add(std::string_view name, uint32_t type, uint64_t flags, const std::string& data, uint32_t link = 0,
           uint32_t info = 0, uint64_t entry_octets = 0) {
    Elf64_Shdr header{};
    header.sh_name = static_cast<uint32_t>(names_.size());
    header.sh_type = type;
    header.sh_flags = flags;
    header.sh_link = link;
    header.sh_info = info;
    header.sh_entsize = entry_octets;
    header.sh_addralign = kPointerOctets;
    names_ += std::string(name) + '\0';
    sections_.push_back({header, data});
  }
  uint32_t name_of_symbol(std::string_view name) {
    const auto at = static_cast<uint32_t>(names_.size());
    names_ += std::string(name) + '\0';
    return at;
  }
  /// The names go in last, as the section of that number.
  std::string finish() {
    add(".strtab", SHT_STRTAB, 0, "");
    sections_.back().data = names_;
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_REL;
    header.e_machine = EM_BPF;
    header.e_version = EV_CURRENT;
    header.e_ehsize = sizeof header;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<uint16_t>(sections_.size() + 1);
    header.e_shstrndx = static_cast<uint16_t>(sections_.size());
    std::string body, headers = octets_of(Elf64_Shdr{});
    for (Section& section : sections_) {
      section.header.sh_offset = sizeof header + body.size();
      section.header.sh_size = section.data.size();
      body += section.data;
      body.resize((body.size() + kPointerOctets - 1) / kPointerOctets * kPointerOctets);
      headers += octets_of(section.header);
    }
    header.e_shoff = sizeof header + body.size();
    return octets_of(header) + body + headers;
  }

 private:
  struct Section {
    Elf64_Shdr header;
    std::string data;
  };
  std::string names_ = std::string(1, '\0');
  std::vector<Section> sections_;
};

std::string stub() {
  const std::string description = map_description();
  if (description.empty()) return {};
  const bpf_insn pass[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
                           {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  constexpr uint16_t kProgramSection = 1, kMapsSection = 2;
  constexpr uint32_t kNamesSection = 6;
  ElfFile file;
  file.add("xdp", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, octets_of(pass));
  file.add(".maps", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, std::string(kMapMembers * kPointerOctets, '\0'));
  file.add(".BTF", SHT_PROGBITS, 0, description);
  file.add("license", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, std::string("Apache-2.0\0", 11));
  Elf64_Sym program{};
  program.st_name = file.name_of_symbol("weir_stub");
  program.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
  program.st_shndx = kProgramSection;
  program.st_size = sizeof pass;
  Elf64_Sym map{};
  map.st_name = file.name_of_symbol("xsks_map");
  map.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
  map.st_shndx = kMapsSection;
  map.st_size = kMapMembers * kPointerOctets;
  file.add(".symtab", SHT_SYMTAB, 0, octets_of(Elf64_Sym{}) + octets_of(program) + octets_of(map), kNamesSection, 1,
           sizeof(Elf64_Sym));
  return file.finish();
}

}  // namespace

Result<int> make_xdp_stub() {
  const std::string file = stub();
  if (file.empty()) return Error{"XDP program: its map cannot be described"};
  const int fd = memfd_create("weir_stub.o", MFD_CLOEXEC);
  if (fd >= 0 && write(fd, file.data(), file.size()) == static_cast<ssize_t>(file.size())) return fd;
  const int number = errno;
  if (fd >= 0) close(fd);
  return Error{fmt::format("XDP program: a file in memory: {}", std::strerror(number))};
}

}  // namespace weir::dataplane
