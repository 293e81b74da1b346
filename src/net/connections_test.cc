#include "net/connections.h"

#include <gtest/gtest.h>

namespace hearth::net {
namespace {

using Room = Connections::Room;

// A session that only remembers what it was told.
class Remembers final : public SessionHandle {
 public:
  void drain() override { drained = true; }
  void close() override { closed = true; }
  void close_if_idle() override { asked = true; }
  bool drained = false;
  bool closed = false;
  bool asked = false;
};

std::shared_ptr<Remembers> add(Connections& book, SessionId id, const std::string& address) {
  auto session = std::make_shared<Remembers>();
  book.add(id, address);
  book.attach(id, session);
  return session;
}

TEST(Connections, AnAddressHasItsShareAndLoopbackAll) {
  Connections book(100, 3);
  std::vector<std::shared_ptr<Remembers>> sessions;
  for (SessionId id = 1; id <= 3; ++id) {
    EXPECT_EQ(book.room("198.51.100.7", false), Room::kYes);
    sessions.push_back(add(book, id, "198.51.100.7"));
  }
  EXPECT_EQ(book.room("198.51.100.7", false), Room::kNo);
  EXPECT_FALSE(sessions[0]->asked);  // idle ones of others do not go for it, nor its own
  EXPECT_EQ(book.room("198.51.100.8", false), Room::kYes);
  EXPECT_EQ(book.room("127.0.0.1", true), Room::kYes);
  for (SessionId id = 10; id < 20; ++id) sessions.push_back(add(book, id, "127.0.0.1"));
  EXPECT_EQ(book.room("127.0.0.1", true), Room::kYes);
  book.remove(2);
  EXPECT_EQ(book.room("198.51.100.7", false), Room::kYes);
  EXPECT_EQ(book.stats().connections, 12u);
}

TEST(Connections, AddressesThatHaveLeftLeaveNothingBehind) {
  Connections book(2, 1);
  for (SessionId id = 1; id <= 10'000; ++id) {
    const std::string address = "203.0.113." + std::to_string(id % 250);
    ASSERT_EQ(book.room(address, false), Room::kYes) << id;
    add(book, id, address);
    ASSERT_EQ(book.room(address, false), Room::kNo) << id;
    book.remove(id);
  }
  EXPECT_EQ(book.stats().connections, 0u);
  EXPECT_EQ(book.stats().accepted, 10'000u);
}

TEST(Connections, TheLongestIdleOneGoesFirstAndBusyOnesStay) {
  Connections book(3, 10);
  const auto first = add(book, 1, "a");
  const auto second = add(book, 2, "a");
  const auto third = add(book, 3, "b");
  book.set_idle(1, false);
  book.set_idle(2, false);
  book.set_idle(2, true);  // idle again, since later than the third
  EXPECT_EQ(book.room("c", false), Room::kSoon);
  EXPECT_TRUE(third->asked);
  EXPECT_FALSE(first->asked || second->asked);
  EXPECT_EQ(book.room("c", false), Room::kSoon);  // waits for it, and asks nobody else
  EXPECT_FALSE(second->asked);
  book.remove(3);
  EXPECT_EQ(book.room("c", false), Room::kYes);
  add(book, 4, "c");
  book.set_idle(4, false);
  book.set_idle(2, false);
  EXPECT_EQ(book.room("d", false), Room::kNo);  // all are busy
  EXPECT_EQ(book.stats().evicted, 1u);
}

}  // namespace
}  // namespace hearth::net
