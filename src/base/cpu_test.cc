#include "base/cpu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "testing/isa_wish.h"

namespace hearth {
namespace {

TEST(ForcedIsa, NoneWithoutAWish) {
  for (const char* none : {static_cast<const char*>(nullptr), ""}) {
    const IsaWish wish(none);
    const auto isa = forced_isa();
    ASSERT_TRUE(isa);
    EXPECT_FALSE(isa->has_value());
  }
}

TEST(ForcedIsa, EachFamilyIsTakenOrRefusedByName) {
  const auto supported = supported_isas();
  ASSERT_EQ(supported.front(), Isa::kScalar);
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512}) {
    const IsaWish wish(isa_name(isa));
    const auto chosen = forced_isa();
    if (std::find(supported.begin(), supported.end(), isa) != supported.end()) {
      ASSERT_TRUE(chosen) << isa_name(isa);
      EXPECT_EQ(*chosen, isa);
    } else {
      ASSERT_FALSE(chosen) << isa_name(isa);
      EXPECT_EQ(chosen.error().code, "isa_unsupported");
      EXPECT_EQ(chosen.error().kind, ErrorKind::kUnsupported);
      EXPECT_NE(chosen.error().message.find(isa_name(isa)), std::string::npos);
    }
  }
}

TEST(ForcedIsa, UnknownNames) {
  for (const char* name : {"sse9", "AVX2", "avx2 ", "scalar,avx2"}) {
    const IsaWish wish(name);
    const auto chosen = forced_isa();
    ASSERT_FALSE(chosen) << name;
    EXPECT_EQ(chosen.error().code, "isa_unknown");
    EXPECT_NE(chosen.error().message.find(name), std::string::npos);
  }
}

TEST(Machine, CoresAndMemory) {
  EXPECT_GE(usable_cores(), 1);
  EXPECT_GT(available_memory(), 1 << 20);
  EXPECT_FALSE(cpu_model_name().empty());
}

}  // namespace
}  // namespace hearth
