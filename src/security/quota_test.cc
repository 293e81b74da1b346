#include "security/quota.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "testing/fake_clock.h"

namespace hearth::security {
namespace {

using namespace std::chrono_literals;

TEST(Quota, NoLimitIsNone) {
  const testing::FakeClock clock;
  QuotaLedger ledger(clock);
  std::vector<QuotaLedger::Lease> held;
  for (int i = 0; i < 1000; ++i) {
    auto lease = ledger.admit("a", {});
    ASSERT_TRUE(lease);
    lease->charge(1'000'000);
    held.push_back(*std::move(lease));
  }
}

TEST(Quota, RequestsAMinuteComeBackEvenly) {
  testing::FakeClock clock;
  QuotaLedger ledger(clock);
  const Quota quota = {.requests_per_minute = 6};
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(ledger.admit("a", quota)) << i;
  const auto refused = ledger.admit("a", quota);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "rate_limited");
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(refused.error().retry_after_s, 10);
  EXPECT_NE(refused.error().message.find("on this instance"), std::string::npos);
  EXPECT_TRUE(ledger.admit("b", quota));  // each has its own
  clock.advance(9s);
  EXPECT_FALSE(ledger.admit("a", quota));
  clock.advance(1s);
  EXPECT_TRUE(ledger.admit("a", quota));
  EXPECT_FALSE(ledger.admit("a", quota));
  clock.advance(1h);  // a minute's worth, not an hour's
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(ledger.admit("a", quota)) << i;
  EXPECT_FALSE(ledger.admit("a", quota));
}

TEST(Quota, TokensThatWereTakenAreMadeGood) {
  testing::FakeClock clock;
  QuotaLedger ledger(clock);
  const Quota quota = {.tokens_per_minute = 60};
  {
    const auto lease = ledger.admit("a", quota);
    ASSERT_TRUE(lease);
    lease->charge(90);
  }
  const auto refused = ledger.admit("a", quota);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after_s, 31);
  clock.advance(29s);
  EXPECT_FALSE(ledger.admit("a", quota));
  clock.advance(2s);
  EXPECT_TRUE(ledger.admit("a", quota));
}

TEST(Quota, TheDayEndsAtMidnightAndNotWhenTheClockIsSetBack) {
  testing::FakeClock clock;  // begins at midnight UTC
  QuotaLedger ledger(clock);
  const Quota quota = {.tokens_per_day = 100};
  clock.advance(20h);
  const auto lease = ledger.admit("a", quota);
  ASSERT_TRUE(lease);
  lease->charge(100);
  const auto refused = ledger.admit("a", quota);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after_s, 4 * 3600);
  clock.jump_wall(-30h);
  EXPECT_FALSE(ledger.admit("a", quota));
  clock.jump_wall(30h);
  clock.advance(4h);
  EXPECT_TRUE(ledger.admit("a", quota));
  // What ends after midnight counts for the new day.
  lease->charge(100);
  EXPECT_FALSE(ledger.admit("a", quota));
}

TEST(Quota, PlacesAreFreeAgainWhateverBecomesOfTheRequest) {
  const testing::FakeClock clock;
  QuotaLedger ledger(clock);
  const Quota quota = {.concurrent_requests = 2};
  auto a = ledger.admit("a", quota);
  {
    auto b = ledger.admit("a", quota);
    ASSERT_TRUE(a && b);
    EXPECT_FALSE(ledger.admit("a", quota));
    const QuotaLedger::Lease moved = *std::move(b);
    EXPECT_FALSE(ledger.admit("a", quota));
  }
  QuotaLedger::Lease taken = *ledger.admit("a", quota);
  EXPECT_FALSE(ledger.admit("a", quota));
  taken = QuotaLedger::Lease();
  EXPECT_TRUE(ledger.admit("a", quota));
}

TEST(Quota, CountsRightFromManyThreads) {
  QuotaLedger ledger(Clock::system());
  const Quota quota = {.requests_per_minute = 1000, .concurrent_requests = 3};
  std::atomic<int> admitted{0};
  std::atomic<int> open{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const auto lease = ledger.admit("a", quota);
        if (!lease) continue;
        ++admitted;
        EXPECT_LE(++open, 3);
        --open;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(admitted, 1000 + 200);  // what comes back meanwhile
  EXPECT_GT(admitted, 500);
}

}  // namespace
}  // namespace hearth::security
