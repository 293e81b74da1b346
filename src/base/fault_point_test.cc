#include "base/fault_point.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace hearth {
namespace {

class FaultPointTest : public ::testing::Test {
 protected:
  void TearDown() override { fault::disarm_all(); }
};

TEST_F(FaultPointTest, DoesNothingWhileNoTestArmedIt) {
  EXPECT_FALSE(FAULT_POINT("a"));
  EXPECT_FALSE(fault::hit("a"));
}

TEST_F(FaultPointTest, TheNthCallFailsAndNoOther) {
  fault::arm("a", 3);
  EXPECT_FALSE(FAULT_POINT("a"));
  EXPECT_FALSE(FAULT_POINT("b"));
  EXPECT_FALSE(FAULT_POINT("a"));
  EXPECT_TRUE(FAULT_POINT("a"));
  EXPECT_FALSE(FAULT_POINT("a"));
  EXPECT_FALSE(fault::g_armed.load());
}

TEST_F(FaultPointTest, PointsAreIndependent) {
  fault::arm("a", 1);
  fault::arm("b", 2);
  EXPECT_TRUE(FAULT_POINT("a"));
  EXPECT_FALSE(FAULT_POINT("b"));
  EXPECT_TRUE(FAULT_POINT("b"));
}

TEST_F(FaultPointTest, ExactlyOneOfManyThreadsIsHit) {
  fault::arm("a", 50);
  std::atomic<int> hits{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&hits] {
      for (int i = 0; i < 100; ++i) hits += FAULT_POINT("a") ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(hits.load(), 1);
}

TEST(FaultPoint, IsArmedByText) {
  EXPECT_TRUE(fault::arm_all("test.a=2,test.b=1"));
  EXPECT_FALSE(FAULT_POINT("test.a"));
  EXPECT_TRUE(FAULT_POINT("test.b"));
  EXPECT_TRUE(FAULT_POINT("test.a"));
  for (const char* wrong :
       {"test.a", "=1", "test.a=", "test.a=0", "test.a=x", "test.a=1x", "test.b=1,test.a"}) {
    EXPECT_FALSE(fault::arm_all(wrong)) << wrong;
  }
  EXPECT_FALSE(FAULT_POINT("test.b"));
  EXPECT_TRUE(fault::arm_all(""));
  fault::disarm_all();
}

}  // namespace
}  // namespace hearth
