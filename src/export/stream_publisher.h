// stream_publisher.h — Batches to standard output or a file: JSON lines, or the FlowBatch as it is (which
// has room for flows only; other kinds are refused as `rejected`).
//
// Runs on:  publisher_thread; last_error and counters on any.
// Owns:     the file when it was given by path; standard output is the process's.
// Bounds:   what waits to be written stays under kStreamBufferOctetsMax and one batch's text. A slow reader
//           of a pipe holds back submit, never for longer than poll's wait.
// Failure:  write_error for each batch that is not written whole (no space, reader gone, file not to be
//           opened; the next batch tries again). A file is cut back to the last whole batch; on standard
//           output a cut line is ended before the next one. A file that cannot be set aside is written on.
//           SIGPIPE has to be ignored by the program.
//
// Acknowledged means: given to the kernel.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>

#include "base/spsc_ring.h"
#include "export/publisher.h"
#include "export/rotating_file.h"

namespace weir::outbound {

inline constexpr size_t kStreamBufferOctetsMax = 4 << 20;
inline constexpr size_t kStreamLinesMax = 64;  // offered and not yet taken

class StreamPublisher final : public Publisher {
 public:
  static std::unique_ptr<StreamPublisher> to_stdout(StreamFormat format);
  /// Appends. Checks the path, with an error that names it; opening is poll's and submit's business.
  static Result<std::unique_ptr<StreamPublisher>> to_file(FileConfig config, StreamFormat format);
  ~StreamPublisher() override;

  std::string_view kind() const noexcept override { return file_ ? "file" : "stdout"; }
  bool submit(OutboundBatch& batch, OutcomeSink& outcomes) override WEIR_RUNS_ON(publisher_thread);
  void poll(int wait_ms, OutcomeSink& outcomes) override WEIR_RUNS_ON(publisher_thread);
  void drain(const std::atomic<uint64_t>& deadline_steady_ns, OutcomeSink& outcomes) override
      WEIR_RUNS_ON(publisher_thread);
  bool offer_line(const std::string& line) override;
  void reopen() noexcept override { reopen_asked_.store(true, std::memory_order_release); }
  bool is_broken() const noexcept override { return broken_.load(std::memory_order_relaxed); }
  size_t in_flight() const noexcept override { return waiting_.size(); }
  const PublisherCounters& counters() const noexcept override { return counters_; }
  std::string last_error() const override;

 private:
  struct Waiting {
    OutboundBatch* batch;  // null: a line
    size_t end;            // in buffer_
  };

  StreamPublisher(std::unique_ptr<RotatingFile> file, StreamFormat format);

  /// Writes what the descriptor takes now, waiting at most `wait_ms` for it to take something.
  void flush(int wait_ms, OutcomeSink& outcomes);
  bool has_open_file();
  void tend_file(uint64_t next_octets);
  void take_lines();
  void report_written(OutcomeSink& outcomes);
  void fail_waiting(DeliveryFailure why, OutcomeSink& outcomes);
  void on_write_error(int error, OutcomeSink& outcomes);
  void break_for_good();
  std::string target() const;
  void set_error(std::string text);
  void set_file_error(std::string text);

  const std::unique_ptr<RotatingFile> file_;  // null: standard output
  const StreamFormat format_;
  const bool takes_all_;  // standard output is a file: it takes all or fails
  PublisherCounters counters_;

  std::string buffer_;
  size_t written_ = 0;   // of buffer_
  size_t reported_ = 0;  // of buffer_: the end of the last batch that was written whole
  std::deque<Waiting> waiting_;
  SpscRing<std::string*> lines_{kStreamLinesMax};  // owned by whoever takes them out
  bool cut_ = false;  // the last octets that were written are part of a line that ends there
  std::atomic<bool> broken_{false};  // nothing can be written any more
  std::atomic<bool> reopen_asked_{false};
  uint64_t next_open_ns_ = 0;

  bool troubled_ = false;
  mutable std::mutex error_mutex_;
  std::string last_error_;  // of a write
  std::string file_error_;  // of setting a file aside, or opening it again
};

}  // namespace weir::outbound
