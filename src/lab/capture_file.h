// capture_file.h — Frames out of and into capture files.
//
// Spec:     pcap and pcapng as libpcap reads them; written files are pcap with nanoseconds.
// Bounds:   one frame in memory at a time; libpcap refuses frames and blocks of absurd length.
// Failure:  Error with the file's name, what is wrong and after how many frames; all frames before
//           the damage have been given out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "packet/frame.h"

struct pcap;
struct pcap_dumper;

namespace weir::lab {

struct CapturedFrame {
  std::span<const uint8_t> octets;  // valid until the reader's next call
  size_t wire_octets = 0;           // more than octets.size() where the capture cut it
  uint64_t timestamp_ns = 0;        // since the epoch
};

/// The link layer that libpcap calls `dlt`, where we can walk it.
std::optional<packet::LinkType> link_type_of(int dlt) noexcept;

class CaptureReader {
 public:
  /// `path` "-" is standard input.
  static Result<CaptureReader> open(const std::string& path);

  /// The next frame; false at the end of the file. After an error the reader is at its end.
  Result<bool> next(CapturedFrame& frame);

  packet::LinkType link() const noexcept { return link_; }
  uint64_t frames_read() const noexcept { return frames_read_; }

 private:
  struct Close {
    void operator()(pcap* p) const noexcept;
  };
  CaptureReader(std::string path, std::unique_ptr<pcap, Close> file, packet::LinkType link);

  std::string path_;
  std::unique_ptr<pcap, Close> file_;
  packet::LinkType link_;
  uint64_t frames_read_ = 0;
};

class CaptureWriter {
 public:
  /// Replaces `path`; "-" is standard output.
  static Result<CaptureWriter> create(const std::string& path, packet::LinkType link);

  Result<void> write(std::span<const uint8_t> frame, uint64_t timestamp_ns);
  /// Says whether all of it reached the file. Called once, last.
  Result<void> close();

 private:
  struct Close {
    void operator()(pcap* p) const noexcept;
    void operator()(pcap_dumper* d) const noexcept;
  };
  CaptureWriter(std::string path, std::unique_ptr<pcap, Close> format,
                std::unique_ptr<pcap_dumper, Close> file);
  Error write_error() const;

  std::string path_;
  std::unique_ptr<pcap, Close> format_;
  std::unique_ptr<pcap_dumper, Close> file_;
};

}  // namespace weir::lab
