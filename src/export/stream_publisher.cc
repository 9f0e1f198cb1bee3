#include "export/stream_publisher.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/clock.h"
#include "export/sflow_json.h"

namespace weir::outbound {
namespace {

constexpr size_t kFileWriteOctets = 1 << 20;
constexpr uint64_t kOpenAgainNs = kNsPerSec;

bool stdout_is_regular() {
  struct stat status {};
  return ::fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

std::unique_ptr<StreamPublisher> StreamPublisher::to_stdout(StreamFormat format) {
  return std::unique_ptr<StreamPublisher>(new StreamPublisher(nullptr, format));
}

Result<std::unique_ptr<StreamPublisher>> StreamPublisher::to_file(FileConfig config,
                                                                  StreamFormat format) {
  if (auto checked = RotatingFile::check(config); !checked) return checked.error();
  auto file = std::make_unique<RotatingFile>(std::move(config), format);
  return std::unique_ptr<StreamPublisher>(new StreamPublisher(std::move(file), format));
}

StreamPublisher::StreamPublisher(std::unique_ptr<RotatingFile> file, StreamFormat format)
    : file_(std::move(file)), format_(format), takes_all_(!file_ && stdout_is_regular()) {
  counters_.connected.set(file_ ? 0 : 1);
}

StreamPublisher::~StreamPublisher() {
  for (std::string* line = nullptr; lines_.pop(line);) delete line;
}

bool StreamPublisher::submit(OutboundBatch& batch, OutcomeSink& outcomes) {
  if (broken_ || !has_open_file()) {
    outcomes.on_outcome({&batch, false, false, DeliveryFailure::write_error});
    return true;
  }
  if (buffer_.size() - written_ >= kStreamBufferOctetsMax) {
    flush(0, outcomes);
    if (!broken_ && buffer_.size() - written_ >= kStreamBufferOctetsMax) return false;
    return submit(batch, outcomes);
  }
  const size_t before = buffer_.size();
  if (cut_) buffer_ += '\n';
  bool intact = true;
  if (format_ == StreamFormat::json) {
    intact = append_json_lines(batch.kind, batch.payload(), buffer_).malformed == 0;
  } else if (batch.kind != RecordKind::flow) {
    intact = false;  // a FlowBatch has room for flows only
  } else {
    buffer_.append(reinterpret_cast<const char*>(batch.data), batch.octets);
  }
  if (!intact) {
    buffer_.resize(before);
    outcomes.on_outcome({&batch, false, false, DeliveryFailure::rejected});
    return true;
  }
  cut_ = false;
  waiting_.push_back({&batch, buffer_.size()});
  return true;
}

bool StreamPublisher::offer_line(const std::string& line) {
  if (format_ != StreamFormat::json || lines_.size_approx() >= kStreamLinesMax) return false;
  auto copy = std::make_unique<std::string>(line);
  if (!lines_.push(copy.get())) return false;
  static_cast<void>(copy.release());
  return true;
}

void StreamPublisher::take_lines() {
  while (buffer_.size() - written_ < kStreamBufferOctetsMax) {
    std::string* taken = nullptr;
    if (!lines_.pop(taken)) return;
    const std::unique_ptr<std::string> line(taken);
    if (broken_ || !has_open_file()) continue;
    if (cut_) buffer_ += '\n';
    cut_ = false;
    buffer_ += *line;
    waiting_.push_back({nullptr, buffer_.size()});
  }
}

void StreamPublisher::poll(int wait_ms, OutcomeSink& outcomes) {
  take_lines();
  if (has_open_file() && written_ == reported_) tend_file(0);
  if (waiting_.empty()) {
    if (wait_ms > 0) ::poll(nullptr, 0, wait_ms);
    return;
  }
  flush(wait_ms, outcomes);
}

void StreamPublisher::drain(const std::atomic<uint64_t>& deadline_steady_ns,
                            OutcomeSink& outcomes) {
  take_lines();
  while (!waiting_.empty()) {
    const uint64_t deadline_ns = deadline_steady_ns.load(std::memory_order_acquire);
    const uint64_t now = steady_clock_ns();
    if (now >= deadline_ns) break;
    flush(static_cast<int>(std::min<uint64_t>((deadline_ns - now) / kNsPerMs + 1, 100)), outcomes);
  }
  if (waiting_.empty()) return;
  set_error(target() + ": does not take what is written");
  fail_waiting(DeliveryFailure::shutdown_deadline, outcomes);
}

/// Between two batches: whether there is somewhere to write to, which is tried once a second.
bool StreamPublisher::has_open_file() {
  if (!file_ || file_->is_open()) return true;
  const uint64_t now_ns = steady_clock_ns();
  if (now_ns < next_open_ns_) return false;
  next_open_ns_ = now_ns + kOpenAgainNs;
  reopen_asked_.store(false, std::memory_order_relaxed);
  const auto opened = file_->open();
  set_error(opened ? std::string() : opened.error().message);
  counters_.connected.set(opened ? 1 : 0);
  return file_->is_open();
}

/// Between two batches, of which the next has so many octets: the file is set aside when that is due, and
/// opened anew when somebody asked for it. What fails leaves the file that is open.
void StreamPublisher::tend_file(uint64_t next_octets) {
  if (!file_) return;
  if (reopen_asked_.exchange(false, std::memory_order_acquire)) {
    const auto opened = file_->open();
    set_file_error(opened ? std::string() : opened.error().message);
    if (opened) counters_.reconnects.increment();
  }
  const uint64_t wall_ns = wall_clock_ns();
  if (!file_->rotation_due(next_octets, wall_ns)) return;
  const auto rotated = file_->rotate(wall_ns);
  set_file_error(rotated ? std::string() : rotated.error().message);
}

void StreamPublisher::flush(int wait_ms, OutcomeSink& outcomes) {
  bool may_wait = true;
  while (written_ < buffer_.size()) {
    // Up to the end of one batch, so that files change between batches only.
    const size_t rest = waiting_.front().end - written_;
    if (written_ == reported_) tend_file(rest);
    size_t octets = std::min(rest, kFileWriteOctets);
    if (file_ ? !file_->is_regular() : !takes_all_) {
      // A blocking descriptor that is ready takes PIPE_BUF octets without making us wait for more.
      pollfd ready{file_ ? file_->fd() : STDOUT_FILENO, POLLOUT, 0};
      const int count = ::poll(&ready, 1, may_wait ? wait_ms : 0);
      may_wait = false;
      if (count <= 0) break;
      octets = std::min<size_t>(octets, PIPE_BUF);
    }
    const ssize_t n =
        ::write(file_ ? file_->fd() : STDOUT_FILENO, buffer_.data() + written_, octets);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      on_write_error(errno, outcomes);
      return;
    }
    if (file_) file_->on_written(static_cast<uint64_t>(n));
    written_ += static_cast<size_t>(n);
    counters_.octets.add(static_cast<uint64_t>(n));
    report_written(outcomes);
  }
}

void StreamPublisher::report_written(OutcomeSink& outcomes) {
  while (!waiting_.empty() && waiting_.front().end <= written_) {
    const Waiting done = waiting_.front();
    waiting_.pop_front();
    reported_ = done.end;
    if (troubled_) set_error({});
    if (done.batch == nullptr) continue;
    counters_.messages.increment();
    counters_.acknowledgements.increment();
    outcomes.on_outcome({done.batch, true, false, DeliveryFailure::count_});
  }
  if (waiting_.empty()) {
    buffer_.clear();
    written_ = reported_ = 0;
  } else if (reported_ > kStreamBufferOctetsMax) {
    buffer_.erase(0, reported_);
    written_ -= reported_;
    for (Waiting& waiting : waiting_) waiting.end -= reported_;
    reported_ = 0;
  }
}

void StreamPublisher::on_write_error(int error, OutcomeSink& outcomes) {
  set_error(target() + ": " + std::strerror(error));
  // Standard output cannot be opened again.
  if (!file_ && (error == EPIPE || error == EBADF)) break_for_good();
  fail_waiting(DeliveryFailure::write_error, outcomes);
}

/// None of what waits goes out any more; what went out of its first batch is taken back, or ended.
void StreamPublisher::fail_waiting(DeliveryFailure why, OutcomeSink& outcomes) {
  const size_t partial = written_ - reported_;
  if (partial > 0 && !(file_ && file_->take_back(partial))) {
    // Lines can go on after a cut one; behind part of a FlowBatch nothing could be read.
    if (format_ == StreamFormat::json) {
      cut_ = true;
    } else {
      break_for_good();
    }
  }
  buffer_.clear();
  written_ = reported_ = 0;
  std::deque<Waiting> failed;
  failed.swap(waiting_);
  for (const Waiting& waiting : failed) {
    if (waiting.batch == nullptr) continue;
    counters_.negative_acknowledgements.increment();
    outcomes.on_outcome({waiting.batch, false, false, why});
  }
}

void StreamPublisher::break_for_good() {
  broken_ = true;
  counters_.connected.set(0);
}

std::string StreamPublisher::target() const {
  return file_ ? "file " + file_->path() : std::string("standard output");
}

void StreamPublisher::set_error(std::string text) {
  troubled_ = !text.empty();
  const std::lock_guard lock(error_mutex_);
  last_error_ = std::move(text);
}

void StreamPublisher::set_file_error(std::string text) {
  const std::lock_guard lock(error_mutex_);
  file_error_ = std::move(text);
}

std::string StreamPublisher::last_error() const {
  const std::lock_guard lock(error_mutex_);
  return last_error_.empty() ? file_error_ : last_error_;
}

}  // namespace weir::outbound
