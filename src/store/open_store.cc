#include "store/open_store.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <chrono>
#include <thread>

#include "store/address_functions.h"
#include "store/duckdb_sink.h"
#include "store/file_book.h"
#include "store/schema.h"

namespace weir::store {
namespace {

uint64_t octets_of(const std::string& path) noexcept {
  struct stat look {};
  return stat(path.c_str(), &look) == 0 ? static_cast<uint64_t>(look.st_size) : 0;
}

}  // namespace

bool is_fatal(const Error& error) noexcept {
  return error.message.find("FATAL") != std::string::npos || error.message.find("has been invalidated") != std::string::npos;
}

Result<std::unique_ptr<OpenStore>> OpenStore::open(DatabaseOptions options) {
  auto store = std::unique_ptr<OpenStore>(new OpenStore(std::move(options)));
  auto database = store->open_once();
  if (!database) return database.error();
  store->database_.store(std::move(*database));
  return store;
}

Result<std::shared_ptr<Database>> OpenStore::open_once() const {
  auto database = Database::open(options_);
  if (!database) {
    const std::string& why = database.error().message;
    if (why.find("Conflicting lock") == std::string::npos) return database.error();
    return Error{options_.path + " is another process's: only one may have it (" + why + ")"};
  }
  auto connection = (*database)->connect();
  if (!connection) return connection.error();
  if (auto done = register_address_functions(*connection); !done) return done.error();
  if (!options_.history_folder.empty()) {
    if (auto done = settle_folder(*connection, options_.history_folder); !done) return done.error();
  }
  if (auto done = prepare_schema(*connection); !done) return done.error();
  if (auto done = prepare_identities(*connection); !done) return done.error();
  return std::shared_ptr<Database>(std::move(*database));
}

std::shared_ptr<Database> OpenStore::database() const { return database_.load(); }

Result<void> OpenStore::reopen(int wait_ms) {
  std::weak_ptr<Database> old;
  {
    auto mine = database_.exchange(nullptr);
    old = mine;
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  while (!old.expired()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      database_.store(old.lock());
      return Error{options_.path + " is still in use and cannot be opened anew"};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  auto database = open_once();
  if (!database) return database.error();
  database_.store(std::move(*database));
  reopened_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

uint64_t OpenStore::file_octets() const noexcept { return octets_of(options_.path); }
uint64_t OpenStore::wal_octets() const noexcept { return octets_of(options_.path + ".wal"); }

uint64_t OpenStore::free_octets() const noexcept {
  struct statvfs look {};
  if (statvfs(options_.path.c_str(), &look) != 0) return UINT64_MAX;
  return uint64_t{look.f_bavail} * look.f_frsize;
}

}  // namespace weir::store
