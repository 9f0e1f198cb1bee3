#include "control/delivery/run_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace weir::control {

namespace {

constexpr uint64_t kMagic = 0x314E555252494557;  // WEIRRUN1, in this machine's byte order
constexpr size_t kPageOctets = 4096;
constexpr uint64_t kRunning = 1;

void set(uint64_t& value, uint64_t to) noexcept {
  // In this order, for whoever reads the page after a kill.
  std::atomic_ref(value).store(to, std::memory_order_release);
}

uint64_t difference(uint64_t taken, uint64_t settled) noexcept {
  return taken > settled ? taken - settled : 0;
}

}  // namespace

struct RunJournal::Page {
  uint64_t magic;
  uint64_t running;
  BatchesAndRecords taken;
  BatchesAndRecords settled;
};

RunJournal::RunJournal(Page* page) noexcept : page_(page) {
  if (page->magic != kMagic || page->running != kRunning) return;
  const BatchesAndRecords lost = {
      .batches = difference(page->taken.batches, page->settled.batches),
      .records = difference(page->taken.records, page->settled.records),
  };
  if (lost.batches != 0 || lost.records != 0) lost_before_ = lost;
}

RunJournal::~RunJournal() { ::munmap(page_, kPageOctets); }

Result<std::unique_ptr<RunJournal>> RunJournal::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return Error{fmt::format("{}: cannot be written: {}", path, std::strerror(errno))};
  // The octets are there before they are mapped: a disk that is full says so now.
  const int full = ::posix_fallocate(fd, 0, kPageOctets);
  void* const page = full != 0
                         ? MAP_FAILED
                         : ::mmap(nullptr, kPageOctets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int error = full != 0 ? full : errno;
  ::close(fd);
  if (page == MAP_FAILED) {
    return Error{fmt::format("{}: cannot be mapped: {}", path, std::strerror(error))};
  }
  return std::unique_ptr<RunJournal>(new RunJournal(static_cast<Page*>(page)));
}

void RunJournal::note(BatchesAndRecords taken, BatchesAndRecords settled) noexcept {
  if (!has_begun_) {
    set(page_->running, 0);
    set(page_->magic, kMagic);
  }
  set(page_->taken.batches, taken.batches);
  set(page_->taken.records, taken.records);
  set(page_->settled.batches, settled.batches);
  set(page_->settled.records, settled.records);
  if (!has_begun_) set(page_->running, kRunning);
  has_begun_ = true;
}

void RunJournal::end() noexcept { set(page_->running, 0); }

}  // namespace weir::control
