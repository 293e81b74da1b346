#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace hearth {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

void expect_refused(std::string_view text, std::string_view position, std::string_view code) {
  for (const auto& error : {parse_json(text).error(), parse_json_ordered(text).error()}) {
    EXPECT_EQ(error.code, code) << text;
    EXPECT_EQ(error.kind, ErrorKind::kInvalid);
    EXPECT_THAT(error.message, HasSubstr("at byte " + std::string(position))) << text;
    EXPECT_EQ(error.message.find('\n'), std::string::npos);
  }
}

TEST(Json, ReadsEveryKindOfValue) {
  const auto value = parse_json(
      R"( {"a":[1,-2,0.5,1e3,true,false,null],"b":{"c":"\u00e9\ud83d\ude00\u0000"},"":18446744073709551615} )");
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ((*value)["a"], (Json::array({1, -2, 0.5, 1000.0, true, false, nullptr})));
  EXPECT_EQ((*value)["b"]["c"], Json(std::string("é😀\0", 7)));
  EXPECT_EQ((*value)[""].get<std::uint64_t>(), 18446744073709551615u);
  EXPECT_TRUE((*value)["a"][0].is_number_unsigned());
  EXPECT_TRUE((*value)["a"][1].is_number_integer());
}

TEST(Json, TakesScalarsAtTheTop) {
  EXPECT_EQ(*parse_json("3"), Json(3));
  EXPECT_EQ(*parse_json("\"x\""), Json("x"));
  EXPECT_EQ(*parse_json(" null\n"), Json());
}

TEST(Json, OrderedKeepsTheOrder) {
  const auto value = parse_json_ordered(R"({"z":1,"a":{"y":2,"b":3},"m":[]})");
  ASSERT_TRUE(value);
  EXPECT_EQ(dump_json(*value), R"({"z":1,"a":{"y":2,"b":3},"m":[]})");
}

TEST(Json, SeventeenDigitsSurvive) {
  const auto value = parse_json("[0.1,0.30000000000000004,5e-324,1.7976931348623157e308]");
  ASSERT_TRUE(value);
  EXPECT_EQ((*value)[1].get<double>(), 0.1 + 0.2);
  EXPECT_EQ((*value)[3].get<double>(), 1.7976931348623157e308);
  EXPECT_EQ(dump_json(*value), "[0.1,0.30000000000000004,5e-324,1.7976931348623157e+308]");
}

TEST(Json, RefusesWithThePosition) {
  expect_refused("", "0", "invalid_json");
  expect_refused("{\"a\":1,}", "8", "invalid_json");
  expect_refused("[1 2]", "4", "invalid_json");
  expect_refused("[1] x", "5", "invalid_json");
  expect_refused("{'a':1}", "2", "invalid_json");
  expect_refused("[NaN]", "2", "invalid_json");
  expect_refused("[01]", "3", "invalid_json");
  expect_refused("// c\n1", "1", "invalid_json");
  expect_refused("[\"a\nb\"]", "4", "invalid_json");
  expect_refused("{\"a\":1", "6", "invalid_json");
}

TEST(Json, RefusesDuplicateKeys) {
  expect_refused(R"({"a":1,"a":2})", "10", "invalid_json");
  expect_refused(R"([{"b":{"a":1,"\u0061":2}}])", "21", "invalid_json");
  EXPECT_TRUE(parse_json(R"([{"a":1},{"a":2,"b":{"a":3}}])"));
  EXPECT_THAT(parse_json(R"({"a":1,"a":2})").error().message, EndsWith("duplicate key"));
}

TEST(Json, RefusesNumbersThatOverflow) {
  expect_refused("[1e999]", "6", "invalid_json");
  expect_refused("[-1e999]", "7", "invalid_json");
  expect_refused("[" + std::string(400, '9') + "]", "401", "invalid_json");
  EXPECT_EQ(parse_json("123456789012345678901234567890")->get<double>(),
            123456789012345678901234567890.);
}

TEST(Json, RefusesBadUnicode) {
  expect_refused("[\"\xff\"]", "3", "invalid_json");
  expect_refused("[\"\xc0\x80\"]", "3", "invalid_json");
  expect_refused("[\"\xed\xa0\x80\"]", "4", "invalid_json");
  expect_refused(R"(["\ud800"])", "9", "invalid_json");
  expect_refused(R"(["\udc00"])", "8", "invalid_json");
  expect_refused(R"(["\ud800\u0041"])", "14", "invalid_json");
  expect_refused(std::string_view("[1]\0", 4), "4", "invalid_json");
  expect_refused(std::string_view("[\"a\0\"]", 6), "4", "invalid_json");
  expect_refused(std::string_view("\0", 1), "1", "invalid_json");
}

TEST(Json, NeverQuotesTheText) {
  const auto error = parse_json("{\"secret\": \"password; expected\xff\"}").error();
  EXPECT_THAT(error.message, Not(HasSubstr("password")));
  EXPECT_THAT(parse_json("[pass]").error().message, Not(HasSubstr("pass")));
}

TEST(Json, BoundsDepth) {
  EXPECT_TRUE(parse_json(nested(64)));
  expect_refused(nested(65), "65", "json_too_deep");
  expect_refused(std::string(100000, '['), "65", "json_too_deep");
  EXPECT_TRUE(parse_json("[[1]]", {.depth_max = 2}));
  EXPECT_EQ(parse_json("[{\"a\":[]}]", {.depth_max = 2}).error().code, "json_too_deep");
  EXPECT_TRUE(parse_json("1", {.depth_max = 0}));
}

TEST(Json, BoundsBytes) {
  EXPECT_TRUE(parse_json("[1,2]", {.bytes_max = 5}));
  const auto error = parse_json("[1,2] ", {.bytes_max = 5}).error();
  EXPECT_EQ(error.code, "invalid_json");
  EXPECT_THAT(error.message, HasSubstr("at byte 6"));
}

TEST(Json, ManyKeysStayQuick) {
  std::string text = "{";
  for (int i = 0; i < 100000; ++i) text += fmt::format("{}\"{}\":1", i == 0 ? "" : ",", i);
  text += "}";
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(parse_json_ordered(text));
  // A linear search per key would take 5e9 comparisons.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Json, DumpIsAlwaysValidUtf8) {
  EXPECT_EQ(dump_json(Json("a\xff"
                           "b")),
            "\"a\xef\xbf\xbd"
            "b\"");
  EXPECT_EQ(dump_json(Json({{"a", {1, 2}}}), 1), "{\n \"a\": [\n  1,\n  2\n ]\n}");
}

}  // namespace
}  // namespace hearth
