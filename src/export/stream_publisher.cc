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

bool is_regular_file(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

std::unique_ptr<StreamPublisher> StreamPublisher::to_stdout(StreamFormat format) {
  return std::unique_ptr<StreamPublisher>(new StreamPublisher(STDOUT_FILENO, {}, format));
}

Result<std::unique_ptr<StreamPublisher>> StreamPublisher::to_file(const std::string& path,
                                                                  StreamFormat format) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return Error{"file " + path + ": " + std::strerror(errno)};
  return std::unique_ptr<StreamPublisher>(new StreamPublisher(fd, path, format));
}

StreamPublisher::StreamPublisher(int fd, std::string path, StreamFormat format)
    : fd_(fd), path_(std::move(path)), format_(format), is_file_(is_regular_file(fd)) {
  counters_.connected.set(1);
}

StreamPublisher::~StreamPublisher() {
  for (std::string* line = nullptr; lines_.pop(line);) delete line;
  if (!path_.empty()) ::close(fd_);
}

bool StreamPublisher::submit(OutboundBatch& batch, OutcomeSink& outcomes) {
  if (broken_) {
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
  cut_ = false;
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
    if (broken_) continue;
    if (cut_) buffer_ += '\n';
    cut_ = false;
    buffer_ += *line;
    waiting_.push_back({nullptr, buffer_.size()});
  }
}

void StreamPublisher::poll(int wait_ms, OutcomeSink& outcomes) {
  take_lines();
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
  set_error((path_.empty() ? std::string("standard output") : "file " + path_) +
            ": does not take what is written");
  fail_waiting(DeliveryFailure::shutdown_deadline, outcomes);
}

void StreamPublisher::flush(int wait_ms, OutcomeSink& outcomes) {
  bool may_wait = true;
  while (written_ < buffer_.size()) {
    size_t octets = std::min(buffer_.size() - written_, kFileWriteOctets);
    if (!is_file_) {
      // A blocking descriptor that is ready takes PIPE_BUF octets without making us wait for more.
      pollfd ready{fd_, POLLOUT, 0};
      const int count = ::poll(&ready, 1, may_wait ? wait_ms : 0);
      may_wait = false;
      if (count <= 0) break;
      octets = std::min<size_t>(octets, PIPE_BUF);
    }
    const ssize_t n = ::write(fd_, buffer_.data() + written_, octets);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      on_write_error(errno, outcomes);
      return;
    }
    written_ += static_cast<size_t>(n);
    counters_.octets.add(static_cast<uint64_t>(n));
  }
  report_written(outcomes);
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
  report_written(outcomes);
  set_error((path_.empty() ? std::string("standard output") : "file " + path_) + ": " +
            std::strerror(error));
  if (error == EPIPE || error == EBADF) {
    broken_ = true;
    counters_.connected.set(0);
  }
  fail_waiting(DeliveryFailure::write_error, outcomes);
}

/// None of what waits goes out any more; what went out of its first batch is taken back, or ended.
void StreamPublisher::fail_waiting(DeliveryFailure why, OutcomeSink& outcomes) {
  const size_t partial = written_ - reported_;
  if (partial > 0) {
    struct stat status {};
    const bool taken_back = is_file_ && !path_.empty() && ::fstat(fd_, &status) == 0 &&
                            static_cast<size_t>(status.st_size) >= partial &&
                            ::ftruncate(fd_, status.st_size - static_cast<off_t>(partial)) == 0;
    if (!taken_back) {
      // Lines can go on after a cut one; behind part of a FlowBatch nothing could be read.
      cut_ = format_ == StreamFormat::json;
      if (format_ == StreamFormat::flow_batch) {
        broken_ = true;
        counters_.connected.set(0);
      }
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

void StreamPublisher::set_error(std::string text) {
  troubled_ = !text.empty();
  const std::lock_guard lock(error_mutex_);
  last_error_ = std::move(text);
}

std::string StreamPublisher::last_error() const {
  const std::lock_guard lock(error_mutex_);
  return last_error_;
}

}  // namespace weir::outbound
