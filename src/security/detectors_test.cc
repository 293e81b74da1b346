// What counts as a number or an address, one line each.
#include <gtest/gtest.h>

#include "security/redactor.h"

namespace hearth::security {
namespace {

std::string hidden(std::string_view text) {
  static const auto policy = *RedactionPolicy::create({});
  return redact(policy, text);
}

// The whole of `number` is hidden, also in a sentence of either language.
void expect_hidden(const std::string& number) {
  EXPECT_EQ(hidden(number), "[REDACTED]") << number;
  EXPECT_EQ(hidden("请记住：" + number + "，谢谢"), "请记住：[REDACTED]，谢谢") << number;
  EXPECT_EQ(hidden("Write down " + number + " and go."), "Write down [REDACTED] and go.") << number;
}
void expect_shown(const std::string& text) { EXPECT_EQ(hidden(text), text); }

TEST(Phone, IsFoundAsPeopleWriteIt) {
  for (const char* number : {"13812345678",
                             "19912345678",
                             "138 1234 5678",
                             "138-1234-5678",
                             "138.1234.5678",
                             "1381234 5678",
                             "138 12345678",
                             "138 - 1234 - 5678",
                             "+8613812345678",
                             "+86 13812345678",
                             "+86-138-1234-5678",
                             "86 138 1234 5678",
                             "8613812345678",
                             "0086 13812345678",
                             "008613812345678",
                             "１３８１２３４５６７８",
                             "１３８－１２３４－５６７８",
                             "138１2345678",
                             "＋８６ 13812345678",
                             "138\u00a01234\u00a05678",
                             "138\u20111234\u20115678",
                             "1\u200b3812345678",
                             "١٣٨١٢٣٤٥٦٧٨",
                             "𝟏𝟑𝟖𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖",
                             "1 3 8 1 2 3 4 5 6 7 8",
                             "1\uFE0F\u20E33\uFE0F\u20E3"
                             "812345678"})
    expect_hidden(number);
}

TEST(Phone, StandsInManyPlaces) {
  EXPECT_EQ(hidden("手机13812345678或者微信"), "手机[REDACTED]或者微信");
  EXPECT_EQ(hidden("Tel13812345678"), "Tel[REDACTED]");
  EXPECT_EQ(hidden("{\"phone\":\"13812345678\"}"), "{\"phone\":\"[REDACTED]\"}");
  EXPECT_EQ(hidden("a\\n13812345678\\n"), "a\\n[REDACTED]\\n");
  EXPECT_EQ(hidden("13812345678/13912345678"), "[REDACTED]/[REDACTED]");
  EXPECT_EQ(hidden("138 1234 5678 139 1234 5678"), "[REDACTED] [REDACTED]");
  EXPECT_EQ(hidden("13812345678,13912345678"), "[REDACTED],[REDACTED]");
  EXPECT_EQ(hidden("phone 13812345678.0 in a table"), "phone [REDACTED].0 in a table");
  EXPECT_EQ(hidden("打13812345678."), "打[REDACTED].");
  EXPECT_EQ(hidden("名单：13812345678"), "名单：[REDACTED]");
  EXPECT_EQ(hidden("请致电13812345678人工客服"), "请致电[REDACTED]人工客服");
  EXPECT_EQ(hidden("请在13812345678元旦前"), "请在[REDACTED]元旦前");
  EXPECT_EQ(hidden("1. 138 1234 5678\n2. 139 1234 5678"), "1. [REDACTED]\n2. [REDACTED]");
  EXPECT_EQ(hidden("https://wa.me/8613812345678"), "https://wa.me/[REDACTED]");
  EXPECT_EQ(hidden("https://x.cn/a?phone=13812345678&b=1"), "https://x.cn/a?phone=[REDACTED]&b=1");
}

TEST(Phone, IsNotEveryNumber) {
  for (const char* text : {"12812345678",
                           "1381234567",
                           "138123456789",
                           "213812345678",
                           "1-381-234-5678",
                           "1700000000000",
                           "0.13812345678",
                           "3.13812345678",
                           "13812345678.5",
                           "e13812345678",
                           "13812345678f",
                           "订单号：13812345678",
                           "order #13812345678",
                           "¥13812345678",
                           "13812345678元",
                           "15032385536 bytes",
                           "https://x.cn/item/13812345678",
                           "2024-01-15 13:45:30",
                           "15 2024 10301",
                           "NO97 1370 7294 110",
                           "192.168.100.15",
                           "138****5678",
                           "10 20 30 40 50 60"})
    expect_shown(text);
}

TEST(BankCard, IsFoundAsPeopleWriteIt) {
  for (const char* number :
       {"4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444",
        "2223003122003222", "6011111111111117", "3530111333300000", "6222021234567890128",
        "622202 1234567890128", "6222 0212 3456 7890 128", "６２２２０２１２３４５６７８９０１２８",
        "62220212345678903", "４１１１ １１１１ １１１１ １１１１"})
    expect_hidden(number);
}

TEST(BankCard, AContextWordStandsForAnIssuer) {
  expect_shown("1234567812345670");
  EXPECT_EQ(hidden("银行卡号1234567812345670"), "银行卡号[REDACTED]");
  EXPECT_EQ(hidden("my card is 1234567812345670"), "my card is [REDACTED]");
  EXPECT_EQ(hidden("card\n1234567812345670"), "card\n1234567812345670");  // another line
}

TEST(BankCard, IsNotEveryNumber) {
  for (const char* text :
       {"4111111111111112", "41111111111111111111", "411111111111", "0.4111111111111111",
        "订单号 4111111111111111", "tracking number: 4111111111111111",
        "https://x.cn/o/4111111111111111", "GB29 NWBK 6016 1331 9268 19",
        "汇款至SE98 6472 1480 2734 1257 8454", "DK5000400440116243",
        "550e8400-e29b-41d4-a716-446655440000", "20240115103000123"})
    expect_shown(text);
}

TEST(IdCard, IsFoundAsPeopleWriteIt) {
  for (const char* number :
       {"11010519491231002X", "11010519491231002x", "110105 19491231 002X", "110105-19491231-002X",
        "１１０１０５１９４９１２３１００２Ｘ", "110105194912310 02X", "110105\u200b19491231002X"})
    expect_hidden(number);
  EXPECT_EQ(hidden("身份证11010519491231002X。"), "身份证[REDACTED]。");
  EXPECT_EQ(hidden("ID11010519491231002X"), "ID[REDACTED]");
}

TEST(IdCard, IsNotEveryNumber) {
  for (const char* text : {"110105194912310021",  // check character
                           "11010519491331002X",  // month
                           "11010519490229002X",  // no leap year
                           "99010519491231002X",  // region
                           "110105189912310023",  // year
                           "211010519491231002X", "11010519491231002X7", "1101051949123100"})
    expect_shown(text);
}

TEST(Email, IsFoundAsPeopleWriteIt) {
  for (const char* address :
       {"a@b.cn", "first.last+tag@sub.example.co.uk", "o'brien@example.org", "user_1%x@example.com",
        "13812345678@163.com", "ｚｈａｎｇ＠ｅｘａｍｐｌｅ．ｃｏｍ", "USER@EXAMPLE.COM",
        "a@xn--fiqs8s.xn--p1ai"})
    expect_hidden(address);
  EXPECT_EQ(hidden("邮箱是a@b.cn。"), "邮箱是[REDACTED]。");
  EXPECT_EQ(hidden("<a@b.cn>, 'c@d.org'"), "<[REDACTED]>, '[REDACTED]'");
  EXPECT_EQ(hidden("mailto:a@b.cn?x"), "mailto:[REDACTED]?x");
  EXPECT_EQ(hidden("write to a@b.cn."), "write to [REDACTED].");
  EXPECT_EQ(hidden("a@b.com-c"), "[REDACTED]-c");
  EXPECT_EQ(hidden("a@b.cn13812345678"), "[REDACTED][REDACTED]");
  EXPECT_EQ(hidden("a@b@c.org"), "a@[REDACTED]");
  EXPECT_EQ(hidden(std::string(100, 'x') + "@b.cn"), std::string(36, 'x') + "[REDACTED]");
}

TEST(Email, IsNotEveryAtSign) {
  for (const char* text : {"@home", "a@b", "icon@2x.png", "lodash@4.17.21", "a @ b.cn", "me@",
                           "@app.route", "x@.cn", "x@-a.cn", "x@a..cn"})
    expect_shown(text);
}

}  // namespace
}  // namespace hearth::security
