#include "store/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "store_database.h"

namespace weir::store {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/weir-store-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

AddressOctets octets(std::initializer_list<int> values) {
  AddressOctets address{};
  size_t at = 0;
  for (const int value : values) address[at++] = static_cast<uint8_t>(value);
  return address;
}

TEST(Database, AnAddressGoesInAndComesOutAsItWas) {
  for (const AddressOctets& address : {octets({0x20, 1, 0x0d, 0xb8}), octets({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}),
                                       octets({0x80}), octets({0x7f, 0xff, 0xff}), AddressOctets{}}) {
    EXPECT_EQ(to_address(to_uuid(address)), address);
  }
}

TEST(Database, ABoundAddressIsWhatTheFunctionsMakeOfItsText) {
  StoreDatabase store;
  const SqlValue values[] = {octets({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})};
  EXPECT_EQ(store.ask("SELECT ip_text(?::UUID)", values), "fe80::1\n");
  EXPECT_EQ(store.ask("SELECT ?::UUID = ip_parse('fe80::1')", values), "true\n");
}

TEST(Database, TheOrderOfAddressesIsThatOfTheirOctets) {
  StoreDatabase store;
  EXPECT_EQ(store.ask("SELECT string_agg(ip_text(a), ' ' ORDER BY a) FROM (VALUES (ip_parse('ff02::1')), (ip_parse('::1')), "
                      "(ip_parse('192.0.2.1')), (ip_parse('7fff::')), (ip_parse('8000::'))) t(a)"),
            "::1 192.0.2.1 7fff:: 8000:: ff02::1\n");
}

TEST(Database, EachKindOfValueIsBound) {
  StoreDatabase store;
  const SqlValue values[] = {std::monostate{}, true,          int64_t{-5}, 2.5, std::string("a'b\0c", 5),
                             TimeMicros{1'000'001}};
  EXPECT_EQ(store.ask("SELECT ? IS NULL, ?::BOOLEAN, ?::BIGINT, ?::DOUBLE, length(?::VARCHAR), epoch_us(?::TIMESTAMPTZ)", values),
            "true|true|-5|2.5|5|1000001\n");
}

TEST(Database, MoreValuesThanParametersIsAnError) {
  StoreDatabase store;
  const SqlValue values[] = {int64_t{1}, int64_t{2}};
  const auto asked = store.connection->query("SELECT ?", values);
  ASSERT_FALSE(asked);
  EXPECT_THAT(asked.error().message, HasSubstr("parameter 2 cannot be bound: the statement has 1"));
}

TEST(Database, AWrongStatementSaysWhy) {
  StoreDatabase store;
  EXPECT_THAT(store.ask("SELECT x FROM nowhere"), HasSubstr("nowhere does not exist"));
  EXPECT_FALSE(store.connection->prepare(std::string("SELECT 1\0", 9)));
}

TEST(Database, WhatFailsWhileItRunsSaysWhyFirst) {
  StoreDatabase store;
  const auto asked = store.connection->query("SELECT error('x' || i) FROM range(5) t(i) WHERE i = 3");
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().message.substr(0, asked.error().message.find('\n')), "Invalid Input Error: x3");
  EXPECT_THAT(asked.error().message, Not(HasSubstr("unsuccessful")));
}

TEST(Database, AConflictIsKnownAsOne) {
  StoreDatabase store;
  Connection other = std::move(*store.database->connect());
  store.run("CREATE TABLE t AS SELECT 1 AS i; BEGIN; UPDATE t SET i = 2");
  ASSERT_TRUE(other.execute("BEGIN"));
  const auto refused = other.query("UPDATE t SET i = 3");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(is_conflict(refused.error())) << refused.error().message;
  EXPECT_THAT(refused.error().message, Not(HasSubstr("unsuccessful")));
}

TEST(Database, NoFileOutsideItsFoldersCanBeReached) {
  Folder inside, outside;
  std::ofstream(outside.path + "/secret.csv") << "a\n1\n";
  std::ofstream(inside.path + "/open.csv") << "a\n2\n";
  DatabaseOptions options;
  options.folders = {inside.path};
  StoreDatabase store(options);
  EXPECT_EQ(store.ask("SELECT a FROM read_csv('" + inside.path + "/open.csv')"), "2\n");
  EXPECT_THAT(store.ask("SELECT a FROM read_csv('" + outside.path + "/secret.csv')"), HasSubstr("disabled by configuration"));
  EXPECT_THAT(store.ask("SELECT content FROM read_text('" + inside.path + "/../" + outside.path.substr(5) + "/secret.csv')"),
              HasSubstr("disabled by configuration"));
  for (const char* wanted : {"SET enable_external_access = true", "SET lock_configuration = false", "SET memory_limit = '1TB'",
                             "SET allowed_directories = ['/']", "INSTALL httpfs", "LOAD httpfs", "ATTACH '/tmp/other.db'"}) {
    EXPECT_FALSE(store.connection->execute(wanted)) << wanted;
  }
}

TEST(Database, AStatementOverTheMemoryLimitEndsWithAnError) {
  DatabaseOptions options;
  options.memory_limit = "64MiB";
  StoreDatabase store(options);
  EXPECT_THAT(store.ask("SELECT count(*) FROM (SELECT i::VARCHAR AS k, count(*) FROM range(20000000) t(i) GROUP BY k)"),
              HasSubstr("Out of Memory"));
  EXPECT_EQ(store.ask("SELECT 1"), "1\n");
}

TEST(Database, AnInterruptEndsWhatRuns) {
  StoreDatabase store;
  std::thread stopper([&] {
    for (int i = 0; i < 200; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      store.connection->interrupt();
    }
  });
  const std::string answer = store.ask("SELECT count(*) FROM range(10000000) a(i), range(10000000) b(j) WHERE (i * j) % 7 = 3");
  stopper.join();
  EXPECT_THAT(answer, HasSubstr("INTERRUPT"));
}

TEST(Database, WhatStreamsComesInChunksAndCanBeLeft) {
  StoreDatabase store;
  auto statement = store.connection->prepare("SELECT i FROM range(1000000000000) t(i)");
  ASSERT_TRUE(statement);
  EXPECT_TRUE(statement->is_select());
  {
    auto rows = statement->stream();
    ASSERT_TRUE(rows) << rows.error().message;
    for (int64_t expected = 0; expected < 5000;) {
      auto chunk = rows->next();
      ASSERT_TRUE(chunk && *chunk);
      for (size_t row = 0; row < chunk->rows(); ++row) ASSERT_EQ(chunk->at<int64_t>(0, row), expected++);
    }
  }
  EXPECT_EQ(store.ask("SELECT 1"), "1\n");
}

TEST(Database, AnErrorInTheMiddleOfAStreamIsNotItsEnd) {
  StoreDatabase store;
  auto statement = store.connection->prepare(
      "SELECT CASE WHEN i = 100000 THEN error('here') ELSE i::VARCHAR END FROM range(1000000) t(i)");
  ASSERT_TRUE(statement);
  auto rows = statement->stream();
  if (!rows) return;  // found at once: as well
  while (true) {
    auto chunk = rows->next();
    if (!chunk) {
      EXPECT_THAT(chunk.error().message, HasSubstr("here"));
      return;
    }
    ASSERT_TRUE(*chunk) << "the stream ended as if all was well";
  }
}

TEST(Database, AFileThatAnotherProcessHasIsRefused) {
  Folder folder;
  const std::string path = folder.path + "/flows.duckdb";
  int ready[2], done[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(done), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto database = Database::open({.path = path});
    char octet = database ? 'y' : 'n';
    if (write(ready[1], &octet, 1) != 1 || read(done[0], &octet, 1) != 1) _exit(1);
    _exit(0);
  }
  char octet = 0;
  ASSERT_EQ(read(ready[0], &octet, 1), 1);
  EXPECT_EQ(octet, 'y');
  const auto second = Database::open({.path = path});
  EXPECT_FALSE(second);
  if (!second) {
    EXPECT_THAT(second.error().message, HasSubstr(path));
    EXPECT_THAT(second.error().message, HasSubstr("lock"));
  }
  ASSERT_EQ(write(done[1], &octet, 1), 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(Database::open({.path = path}));
}

}  // namespace
}  // namespace weir::store
