#include "lab/capture_file.h"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "lab/link_layer.h"
#include "lab/unpacked_file.h"

namespace weir::lab {
namespace {

constexpr int kSnapOctets = 262'144;  // libpcap's own maximum

int dlt_of(packet::LinkType link) noexcept {
  switch (link) {
    case packet::LinkType::ethernet: return DLT_EN10MB;
    case packet::LinkType::raw_ip: return DLT_RAW;
    case packet::LinkType::linux_sll: return DLT_LINUX_SLL;
    case packet::LinkType::linux_sll2: return DLT_LINUX_SLL2;
    case packet::LinkType::null_loopback: return DLT_NULL;
    case packet::LinkType::ether_type: break;
  }
  assert(false && "not a link type of captures");
  return DLT_EN10MB;
}

std::string name_of_dlt(int dlt) {
  const char* name = pcap_datalink_val_to_name(dlt);
  return name != nullptr ? name : fmt::format("number {}", dlt);
}

/// libpcap puts the file's name in front of some messages and not of others.
std::string without_prefix(std::string message, const std::string& path) {
  const std::string prefix = path + ": ";
  if (message.starts_with(prefix)) message.erase(0, prefix.size());
  return message;
}

}  // namespace

// ---- Reading -----------------------------------------------------------------------------------

void CaptureReader::Close::operator()(pcap* p) const noexcept { pcap_close(p); }

CaptureReader::CaptureReader(std::string path, std::unique_ptr<pcap, Close> file, int dlt)
    : path_(std::move(path)), file_(std::move(file)), dlt_(dlt) {}

Result<CaptureReader> CaptureReader::open(const std::string& path) {
  const auto stream = open_unpacked(path);
  if (!stream) return stream.error();
  char why[PCAP_ERRBUF_SIZE] = "";
  std::unique_ptr<pcap, Close> file(
      pcap_fopen_offline_with_tstamp_precision(*stream, PCAP_TSTAMP_PRECISION_NANO, why));
  if (!file) std::fclose(*stream);
  if (!file) return Error{fmt::format("{}: {}", path, without_prefix(why, path))};
  const int dlt = pcap_datalink(file.get());
  if (!is_supported_link(dlt)) {
    return Error{fmt::format("{}: packets of link type {} cannot be read", path, name_of_dlt(dlt))};
  }
  return CaptureReader(path, std::move(file), dlt);
}

Result<bool> CaptureReader::next(CapturedFrame& frame) {
  if (!file_) return false;
  pcap_pkthdr* header = nullptr;
  const u_char* octets = nullptr;
  const int outcome = pcap_next_ex(file_.get(), &header, &octets);
  if (outcome == 1) {
    ++frames_read_;
    const LinkPayload payload = unwrap_link(dlt_, {octets, header->caplen});
    frame.link = payload.link;
    frame.octets = payload.octets;
    frame.is_cut = header->len > header->caplen;
    // With nanosecond precision tv_usec holds nanoseconds.
    frame.timestamp_ns = static_cast<uint64_t>(header->ts.tv_sec) * kNsPerSec +
                         static_cast<uint64_t>(header->ts.tv_usec);
    return true;
  }
  if (outcome == PCAP_ERROR_BREAK) return false;
  Error error{fmt::format("{}: after {} packets: {}", path_, frames_read_,
                          without_prefix(pcap_geterr(file_.get()), path_))};
  file_.reset();
  return error;
}

// ---- Writing -----------------------------------------------------------------------------------

void CaptureWriter::Close::operator()(pcap* p) const noexcept { pcap_close(p); }
void CaptureWriter::Close::operator()(pcap_dumper* d) const noexcept { pcap_dump_close(d); }

CaptureWriter::CaptureWriter(std::string path, std::unique_ptr<pcap, Close> format,
                             std::unique_ptr<pcap_dumper, Close> file)
    : path_(std::move(path)), format_(std::move(format)), file_(std::move(file)) {}

Result<CaptureWriter> CaptureWriter::create(const std::string& path, packet::LinkType link) {
  std::unique_ptr<pcap, Close> format(
      pcap_open_dead_with_tstamp_precision(dlt_of(link), kSnapOctets, PCAP_TSTAMP_PRECISION_NANO));
  if (!format) return Error{fmt::format("{}: out of memory", path)};
  std::unique_ptr<pcap_dumper, Close> file(pcap_dump_open(format.get(), path.c_str()));
  if (!file) {
    return Error{fmt::format("{}: {}", path, without_prefix(pcap_geterr(format.get()), path))};
  }
  return CaptureWriter(path, std::move(format), std::move(file));
}

Result<CaptureWriter> CaptureWriter::in_memory(packet::LinkType link) {
  const std::string name = "capture in memory";
  auto memory = std::make_unique<Memory>();
  std::unique_ptr<pcap, Close> format(
      pcap_open_dead_with_tstamp_precision(dlt_of(link), kSnapOctets, PCAP_TSTAMP_PRECISION_NANO));
  FILE* const stream = open_memstream(&memory->data, &memory->octets);
  std::unique_ptr<pcap_dumper, Close> file;
  if (format && stream != nullptr) file.reset(pcap_dump_fopen(format.get(), stream));
  if (!file) {
    if (stream != nullptr) std::fclose(stream);
    return Error{fmt::format("{}: out of memory", name)};
  }
  CaptureWriter writer(name, std::move(format), std::move(file));
  writer.memory_ = std::move(memory);
  return writer;
}

Error CaptureWriter::write_error() const {
  return Error{fmt::format("{}: cannot write: {}", path_, std::strerror(errno))};
}

Result<void> CaptureWriter::write(std::span<const uint8_t> frame, uint64_t timestamp_ns,
                                  uint32_t octets_on_wire) {
  pcap_pkthdr header{};
  header.ts.tv_sec = static_cast<time_t>(timestamp_ns / kNsPerSec);
  header.ts.tv_usec = static_cast<suseconds_t>(timestamp_ns % kNsPerSec);
  header.caplen = header.len = static_cast<bpf_u_int32>(frame.size());
  if (octets_on_wire != 0) header.len = octets_on_wire;
  pcap_dump(reinterpret_cast<u_char*>(file_.get()), &header, frame.data());
  if (std::ferror(pcap_dump_file(file_.get())) != 0) return write_error();
  return {};
}

Result<void> CaptureWriter::close() {
  const bool failed =
      pcap_dump_flush(file_.get()) != 0 || std::ferror(pcap_dump_file(file_.get())) != 0;
  Result<void> outcome = failed ? Result<void>(write_error()) : Result<void>();
  file_.reset();
  return outcome;
}

Result<std::string> CaptureWriter::take() {
  assert(memory_);
  if (Result<void> closed = close(); !closed) return closed.error();
  return std::string(memory_->data, memory_->octets);
}

}  // namespace weir::lab
