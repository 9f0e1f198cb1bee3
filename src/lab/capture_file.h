// capture_file.h — Frames out of and into capture files.
//
// Spec:     pcap and pcapng as libpcap reads them, of any link type of link_layer.h, also packed with gzip or zstd; written files
//           are pcap with nanoseconds.
// Bounds:   one frame in memory at a time; libpcap refuses frames and blocks of absurd length.
// Failure:  Error with the file's name, what is wrong and after how many frames; all frames before
//           the damage have been given out.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "packet/frame.h"

struct pcap;
struct pcap_dumper;

namespace weir::lab {

struct CapturedFrame {
  std::span<const uint8_t> octets;  // what parse_frame walks; valid until the reader's next call
  packet::LinkType link = packet::LinkType::ethernet;
  bool is_cut = false;        // the capture holds less of it than was on the wire
  uint64_t timestamp_ns = 0;  // since the epoch
};

class CaptureReader {
 public:
  /// `path` "-" is standard input.
  static Result<CaptureReader> open(const std::string& path);

  /// The next frame; false at the end of the file. After an error the reader is at its end.
  Result<bool> next(CapturedFrame& frame);

  uint64_t frames_read() const noexcept { return frames_read_; }

 private:
  struct Close {
    void operator()(pcap* p) const noexcept;
  };
  CaptureReader(std::string path, std::unique_ptr<pcap, Close> file, int dlt);

  std::string path_;
  std::unique_ptr<pcap, Close> file_;
  int dlt_;
  uint64_t frames_read_ = 0;
};

class CaptureWriter {
 public:
  /// Replaces `path`; "-" is standard output. Not for LinkType::ether_type, which is no capture's.
  static Result<CaptureWriter> create(const std::string& path, packet::LinkType link);
  /// Into memory, for take.
  static Result<CaptureWriter> in_memory(packet::LinkType link);

  /// `octets_on_wire`: of the whole frame, where there is only the beginning of it; 0: it is whole.
  Result<void> write(std::span<const uint8_t> frame, uint64_t timestamp_ns,
                     uint32_t octets_on_wire = 0);
  /// Says whether all of it reached the file. Called once, last.
  Result<void> close();
  /// Instead of close: the octets of a file in memory.
  Result<std::string> take();

 private:
  struct Close {
    void operator()(pcap* p) const noexcept;
    void operator()(pcap_dumper* d) const noexcept;
  };
  /// What open_memstream writes to. Stays where it is.
  struct Memory {
    char* data = nullptr;
    size_t octets = 0;
    ~Memory() { std::free(data); }
  };
  CaptureWriter(std::string path, std::unique_ptr<pcap, Close> format,
                std::unique_ptr<pcap_dumper, Close> file);
  Error write_error() const;

  std::string path_;
  std::unique_ptr<Memory> memory_;
  std::unique_ptr<pcap, Close> format_;
  std::unique_ptr<pcap_dumper, Close> file_;
};

}  // namespace weir::lab
