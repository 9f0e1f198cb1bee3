// Who gives way where no place is left, by address and by network.
#include "dataplane/tcp_sessions.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

#include "base/clock.h"
#include "dataplane/tcp_socket.h"

namespace weir::dataplane {
namespace {

class TcpSessionsTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kIdleNs = 2 * kNsPerSec;  // longer than a message may take

  void SetUp() override {
    TcpLimits limits;
    limits.sessions_max = 4;
    limits.message_ns = kNsPerSec;
    auto made = TcpSessions::create(limits);
    ASSERT_TRUE(made) << made.error().message;
    sessions_ = std::move(*made);
  }
  /// One that said something then.
  TcpSession* connect(const std::string& exporter, uint64_t spoke_ns) {
    const RoleScope role(rx_lcore);
    const auto place = sessions_->find_place(*IpAddress::parse(exporter), spoke_ns);
    EXPECT_NE(place.session, nullptr) << exporter;
    if (place.session == nullptr) return nullptr;
    sessions_->begin(*place.session, owner(), ::open("/dev/null", O_RDONLY | O_CLOEXEC), *IpAddress::parse(exporter), 4739, spoke_ns);
    place.session->has_spoken = true;
    return place.session;
  }
  TcpSession* displaced_by(const std::string& exporter, uint64_t now_ns = kIdleNs) {
    const RoleScope role(rx_lcore);
    const auto place = sessions_->find_place(*IpAddress::parse(exporter), now_ns);
    EXPECT_EQ(place.session, nullptr);
    return place.displaced;
  }
  void end(TcpSession* session) {
    const RoleScope role(rx_lcore);
    sessions_->end(*session);
  }
  std::unique_ptr<TcpSessions> sessions_;

 private:
  /// It is only kept.
  TcpSocket& owner() { return *reinterpret_cast<TcpSocket*>(room_); }
  alignas(TcpSocket) unsigned char room_[sizeof(TcpSocket)];
};

TEST_F(TcpSessionsTest, OneOfANetworkWithMostGivesWayToAnotherNetwork) {
  connect("2001:db8:1::1", 40);
  TcpSession* const idlest = connect("2001:db8:1::2", 10);
  connect("2001:db8:1::3", 30);
  connect("2001:db8:2::1", 1);
  EXPECT_EQ(displaced_by("2001:db8:3::1"), idlest) << "not the longest of all: that has no other";
  EXPECT_EQ(displaced_by("192.0.2.1"), idlest);
  EXPECT_EQ(displaced_by("2001:db8:1::4"), nullptr) << "it has three by its neighbours";
  EXPECT_EQ(displaced_by("2001:db8:2::9"), idlest) << "one against three";
  EXPECT_EQ(displaced_by("2001:db8:3::1", kNsPerSec / 2), nullptr) << "all are at work";
  end(idlest);
  connect("2001:db8:2::2", 20);
  EXPECT_EQ(displaced_by("2001:db8:2::3"), nullptr) << "two each";
}

TEST_F(TcpSessionsTest, NeighboursOfIpv4AreStrangers) {
  for (const char* exporter : {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}) connect(exporter, 1);
  EXPECT_EQ(displaced_by("198.51.100.1"), nullptr);
}

TEST_F(TcpSessionsTest, WhoNeverSpokeGivesWayFirst) {
  connect("2001:db8:1::1", 1);
  connect("2001:db8:1::2", 2);
  connect("2001:db8:1::3", 3);
  TcpSession* const silent = connect("2001:db8:2::1", 4);
  silent->has_spoken = false;
  EXPECT_EQ(displaced_by("2001:db8:3::1"), silent);
}

}  // namespace
}  // namespace weir::dataplane
