// The filter as a whole: that it does not matter how a text is cut, what is held back, and that it
// agrees with slow oracles written another way. What each detector finds: detectors_test.cc.
#include "security/redactor.h"

#include <gtest/gtest.h>

#include <random>

#include "security/email_detector.h"

namespace hearth::security {
namespace {

using Policy = std::shared_ptr<const RedactionPolicy>;

Policy policy_of(const RedactionOptions& options = {}) {
  auto policy = RedactionPolicy::create(options);
  EXPECT_TRUE(policy.has_value()) << (policy ? "" : policy.error().message);
  return *policy;
}

RedactionOptions everything() {
  RedactionOptions options;
  options.strict_digits = true;
  options.words = {"Falke", "falk", "绝密", "绝密文件", "k-7"};
  options.patterns = {{"project", R"(PRJ-\d{2,6}\b)", "mask", 16},
                      {"room", R"([A-C]\d\d)", "log", 8}};
  return options;
}

struct Cut {
  std::string text;
  std::vector<Match> matches;
};

// Pushes the pieces that end at `ends` and checks what must hold at every step.
Cut push_all(const Policy& policy, std::string_view text, const std::vector<std::size_t>& ends) {
  Redactor redactor(policy);
  Cut cut;
  std::size_t begin = 0;
  std::uint64_t decided = 0;
  const auto take = [&] {
    for (const Match& match : redactor.take_matches()) {
      EXPECT_GE(match.begin, decided) << "shown before it was hidden";
      cut.matches.push_back(match);
    }
    EXPECT_GE(redactor.decided(), decided);
    decided = redactor.decided();
  };
  for (const std::size_t end : ends) {
    redactor.push(text.substr(begin, end - begin), cut.text);
    begin = end;
    take();
    EXPECT_LE(end - decided, policy->held_bytes_max());
  }
  redactor.push(text.substr(begin), cut.text);
  take();
  redactor.finish(cut.text);
  take();
  EXPECT_EQ(decided, text.size());
  return cut;
}

// A run may be told in one piece or in several.
std::string listed(const std::vector<Match>& matches) {
  std::string out;
  for (const Match& match : matches) {
    if (!match.continues) out += fmt::format("{}@{} ", match.type, match.begin);
  }
  return out;
}

void expect_same(const Policy& policy, const std::string& text,
                 const std::vector<std::size_t>& ends) {
  const Cut whole = push_all(policy, text, {});
  const Cut cut = push_all(policy, text, ends);
  ASSERT_EQ(cut.text, whole.text) << "of: " << text;
  ASSERT_EQ(listed(cut.matches), listed(whole.matches)) << "of: " << text;
}

TEST(Redactor, MasksWhatItSays) {
  const Policy policy = policy_of();
  EXPECT_EQ(redact(policy, "请拨打13812345678联系我们"), "请拨打[REDACTED]联系我们");
  EXPECT_EQ(redact(policy, "Mail a.b@example.com, please"), "Mail [REDACTED], please");
  EXPECT_EQ(redact(policy, "no number: 12345678901"), "no number: 12345678901");
  EXPECT_EQ(redact(policy, ""), "");
}

TEST(Redactor, EverySplitOfShortTextsGivesTheSame) {
  const Policy policy = policy_of(everything());
  for (const std::string text :
       {"a13812345678 b", " 13812345678", "138 1234 5678 x", "12345678901", "1234567890123456",
        "x@ab.cd efg", "a@b.cc.d1 @", "PRJ-1234 PRJ-1x", "xFALKefalkeB12",
        "\xEF\xBC\x91\xEF\xBC\x93\xEF", "绝密文绝密", "k-k-7 k-7k", "+8613812345678",
        "1\xE2\x80\x8B"
        "3812345678",
        "\xFF\xF0\x9D"
        "1@x.co"}) {
    ASSERT_LE(text.size(), 16u);
    for (std::uint32_t cuts = 0; cuts < 1u << (text.size() - 1); ++cuts) {
      std::vector<std::size_t> ends;
      for (std::size_t i = 1; i < text.size(); ++i) {
        if ((cuts >> (i - 1) & 1) != 0) ends.push_back(i);
      }
      expect_same(policy, text, ends);
      if (HasFatalFailure()) return;
    }
  }
}

// Texts of parts that detectors care about, put together at random.
std::string random_text(std::mt19937_64& random, int parts) {
  static const std::vector<std::string> kParts = {
      "13812345678",
      "138-1234-5678",
      "+86 ",
      "0086",
      "4111111111111111",
      "6222 0212 3456 7894",
      "11010519491231002X",
      "110105 19491231 002x",
      "a.b@example.com",
      "@",
      "b.co",
      ".",
      "-",
      " ",
      "\n",
      "中文",
      "，",
      "１",
      "３",
      "８",
      "٣",
      "\u200b",
      "\u00a0",
      "x",
      "Tel",
      "订单号",
      "卡号：",
      "card ",
      "https://",
      "元",
      "bytes",
      "PRJ-12",
      "PRJ-",
      "falke",
      "绝密",
      "绝",
      "文件",
      "0",
      "1",
      "2",
      "99999",
      "12345678901234567890123",
      "A12",
      "DE89 ",
      "3704 ",
      "\xF0\x9D\x9F\x8F",
      "\xE4\xB8",
      "_",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  std::string text;
  for (int i = 0; i < parts; ++i) text += kParts[random() % kParts.size()];
  return text;
}

TEST(Redactor, RandomSplitsOfLongTextsGiveTheSame) {
  const Policy policies[] = {policy_of(), policy_of(everything())};
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    std::mt19937_64 random(seed);
    const std::string text = random_text(random, 1 + static_cast<int>(random() % 60));
    std::vector<std::size_t> ends;
    const std::size_t longest = 1 + random() % 24;
    for (std::size_t at = 0; (at += 1 + random() % longest) < text.size();) ends.push_back(at);
    for (const Policy& policy : policies) expect_same(policy, text, ends);
    ASSERT_FALSE(HasFatalFailure() || HasNonfatalFailure()) << "seed " << seed;
  }
}

std::size_t held(const Policy& policy, std::string_view text) {
  Redactor redactor(policy);
  std::string out;
  redactor.push(text, out);
  return text.size() - redactor.decided();
}

TEST(Redactor, TheFirstGroupOfACardWaitsForItsIssuer) {
  const Policy policy = policy_of();
  EXPECT_EQ(held(policy, "499 "), 4u);
  EXPECT_EQ(held(policy, "777777 "), 0u);  // no issuer, and no word for a card
  const std::string text = "499 1381 2345 6781 3 and 4111 1111 1111 1111, 499-13812345678-13.";
  for (std::size_t cut = 1; cut < text.size(); ++cut) expect_same(policy, text, {cut});
}

TEST(Redactor, AnUntouchedTextComesOutAsItIs) {
  RedactionOptions options;
  options.phone = options.bank_card = options.id_card = options.email = "log";
  const Policy policy = policy_of(options);
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const std::string text = random_text(random, 40);
    ASSERT_EQ(redact(policy, text), text);
  }
}

TEST(Redactor, HoldsBackOnlyWhatMayBecomeAMatch) {
  const Policy policy = policy_of();
  EXPECT_EQ(held(policy, "今天天气很好，我们去公园散步。"), 0u);
  EXPECT_EQ(held(policy, "他说：“好！”（真的）"), 0u);
  EXPECT_EQ(held(policy, "The quick brown fox "), 0u);
  EXPECT_EQ(held(policy, "The quick brown fox"), 3u);  // fox@...
  EXPECT_EQ(held(policy, "in the year 2024, "), 0u);
  EXPECT_EQ(held(policy, "共 27 个"), 0u);
  EXPECT_EQ(held(policy, "电话 138"), 3u);
  EXPECT_EQ(held(policy, "电话 13812345678"), 11u);  // a twelfth digit may come
  EXPECT_EQ(held(policy, "电话 13812345678，"), 0u);
  const std::string word(200, 'w');
  EXPECT_EQ(held(policy, word), kLocalBytesMax);
  EXPECT_EQ(held(policy, std::string(200, '7')), kLocalBytesMax);  // 777@...
  EXPECT_EQ(held(policy, std::string(200, '7') + ","), 0u);
}

TEST(Redactor, EveryCharacterOfProseComesWithItsPush) {
  const Policy policy = policy_of();
  Redactor redactor(policy);
  const std::string_view prose =
      "春天来了，万物复苏。小明（十岁）问：“妈妈，花儿为什么会开？”妈妈笑了！";
  for (std::size_t at = 0; at < prose.size(); at += 3) {
    std::string out;
    redactor.push(prose.substr(at, 3), out);
    ASSERT_EQ(out, prose.substr(at, 3));
  }
}

// All maximal runs of digits, by a pass that knows nothing of the detectors.
std::string strict_oracle(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    const std::size_t run = end - i;
    if (run == 11 || run >= 16)
      out += kRedacted;
    else
      out += text.substr(i, run == 0 ? 1 : run);
    i = run == 0 ? i + 1 : end;
  }
  return out;
}

TEST(Redactor, StrictDigitsHidesWholeRunsAndNothingElse) {
  RedactionOptions options;
  options.strict_digits = true;
  options.phone = options.bank_card = options.id_card = options.email = "off";
  const Policy policy = policy_of(options);
  for (std::size_t n = 1; n <= 60; ++n) {
    const std::string text = "x" + std::string(n, '7') + "y";
    ASSERT_EQ(redact(policy, text), strict_oracle(text)) << n;
  }
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    std::mt19937_64 random(seed);
    std::string text;
    for (int i = 0; i < 8; ++i)
      text += std::string(random() % 26, static_cast<char>('0' + random() % 10)) +
              "a -.@,中"[random() % 6];
    std::vector<std::size_t> ends;
    for (std::size_t at = 0; (at += 1 + random() % 12) < text.size();) ends.push_back(at);
    ASSERT_EQ(push_all(policy, text, ends).text, strict_oracle(text)) << text;
  }
  EXPECT_EQ(redact(policy, "１2３4５6７8９01！"), "[REDACTED]！");
}

// Phone numbers without a separator between letters that are no words of any list.
std::string phone_oracle(const std::string& text) {
  const auto digit = [&](std::size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  const auto letter = [&](std::size_t i) {
    return i < text.size() && text[i] >= 'a' && text[i] <= 'z';
  };
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (digit(end)) ++end;
    const std::string run = text.substr(i, end - i);
    const std::string body = run.starts_with("0086") ? run.substr(4)
                             : run.starts_with("86") ? run.substr(2)
                                                     : run;
    const bool phone = body.size() == 11 && body[0] == '1' && body[1] >= '3' &&
                       !(i > 0 && letter(i - 1)) && !letter(end);
    out += phone ? std::string(kRedacted) : run.empty() ? text.substr(i, 1) : run;
    i = run.empty() ? i + 1 : end;
  }
  return out;
}

TEST(Redactor, PhonesAreThoseOfASlowPass) {
  RedactionOptions options;
  options.bank_card = options.id_card = options.email = "off";
  const Policy policy = policy_of(options);
  int hidden = 0;
  for (std::uint64_t seed = 1; seed <= 20000; ++seed) {
    std::mt19937_64 random(seed);
    std::string text;
    for (int i = 0; i < 3; ++i) {
      text += std::vector<std::string>{",", "q", "/", ";", ""}[random() % 5];
      text += std::vector<std::string>{"", "86", "0086", "8"}[random() % 4];
      text += "1" + std::string(1, static_cast<char>('0' + random() % 10));
      for (std::uint64_t n = 8 + random() % 3; n > 0; --n)
        text += static_cast<char>('0' + random() % 10);
    }
    text += std::vector<std::string>{",", "q", "!", ""}[random() % 4];
    const std::string expected = phone_oracle(text);
    hidden += expected != text;
    ASSERT_EQ(redact(policy, text), expected) << text;
  }
  EXPECT_GT(hidden, 1000);
}

TEST(Redactor, BlockEndsTheTextBeforeTheMatch) {
  RedactionOptions options;
  options.id_card = "block";
  const Policy policy = policy_of(options);
  const std::string_view text = "tel 13812345678, id 11010519491231002X and more";
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    Redactor redactor(policy);
    std::string out;
    redactor.push(text.substr(0, cut), out);
    redactor.push(text.substr(cut), out);
    redactor.finish(out);
    ASSERT_EQ(out, "tel [REDACTED], id ");
    ASSERT_TRUE(redactor.blocked());
    const std::vector<Match> matches = redactor.take_matches();
    ASSERT_EQ(matches.size(), 2u);
    EXPECT_EQ(matches[1].type, kIdCard);
    EXPECT_EQ(matches[1].action, RedactionAction::kBlock);
  }
}

TEST(Redactor, TheStrongestActionWinsWhatBeginsTogether) {
  RedactionOptions options;
  options.email = "log";  // does not show the number inside of it
  std::vector<Match> matches;
  EXPECT_EQ(redact(policy_of(options), "13812345678@example.com", &matches),
            "[REDACTED]@example.com");
  ASSERT_EQ(matches.size(), 2u);
  EXPECT_EQ(matches[0].type, kEmail);
  EXPECT_EQ(matches[0].action, RedactionAction::kLog);
  EXPECT_EQ(matches[1].type, kPhone);
}

TEST(Redactor, WordsAndPatterns) {
  const Policy policy = policy_of(everything());
  EXPECT_EQ(redact(policy, "FALKE, Falk, falken"), "[REDACTED], [REDACTED], [REDACTED]n");
  EXPECT_EQ(redact(policy, "绝密，绝密文件"), "[REDACTED]，[REDACTED]");
  EXPECT_EQ(redact(policy, "PRJ-1 PRJ-12 PRJ-123456 PRJ-1234567 xPRJ-99!"),
            "PRJ-1 [REDACTED] [REDACTED] PRJ-1234567 x[REDACTED]!");
  std::vector<Match> matches;
  EXPECT_EQ(redact(policy, "rooms A12, B7 and C99", &matches), "rooms A12, B7 and C99");
  EXPECT_EQ(matches.size(), 2u);
}

TEST(Redactor, APatternMayLookAtItsSurroundings) {
  RedactionOptions options;
  options.patterns = {
      {"first", "^ab", "mask", 2}, {"last", "yz$", "mask", 2}, {"whole", R"(\bcat\b)", "mask", 3}};
  const Policy policy = policy_of(options);
  const std::string text = "ab ab cat concat cats yz ab yz";
  EXPECT_EQ(redact(policy, text), "[REDACTED] ab [REDACTED] concat cats yz ab [REDACTED]");
  for (std::size_t size = 1; size < 8; ++size) {
    std::vector<std::size_t> ends;
    for (std::size_t at = size; at < text.size(); at += size) ends.push_back(at);
    expect_same(policy, text, ends);
  }
  const std::string far = std::string(5000, ' ') + text;  // what came first is gone by then
  std::vector<std::size_t> ends;
  for (std::size_t at = 7; at < far.size(); at += 7) ends.push_back(at);
  EXPECT_EQ(push_all(policy, far, ends).text,
            std::string(5000, ' ') + "ab ab [REDACTED] concat cats yz ab [REDACTED]");
}

TEST(Redactor, AMatchLongerThanAPatternSaysDoesNotCount) {
  RedactionOptions options;
  options.patterns = {{"run", "z+", "mask", 4}};
  EXPECT_EQ(redact(policy_of(options), "zzz"), "[REDACTED]");
  EXPECT_EQ(redact(policy_of(options), "zzzzz"), "[REDACTED][REDACTED]");
}

TEST(Redactor, RefusesWhatIsWrong) {
  const auto refusal = [](const RedactionOptions& options) {
    const auto policy = RedactionPolicy::create(options);
    return policy ? std::string("taken") : policy.error().message;
  };
  RedactionOptions bad_action;
  bad_action.phone = "hide";
  EXPECT_EQ(refusal(bad_action), "phone: the action must be mask, block, log or off");
  const auto pattern = [&](PatternOptions p) {
    RedactionOptions options;
    options.patterns = {std::move(p)};
    return refusal(options);
  };
  EXPECT_NE(pattern({"p", "a(b", "mask", 9}).find("missing"), std::string::npos);
  EXPECT_NE(pattern({"p", "ab[z-a]", "mask", 9}).find("at character 4"), std::string::npos)
      << pattern({"p", "ab[z-a]", "mask", 9});
  EXPECT_NE(pattern({"p", "a*", "mask", 9}).find("empty text"), std::string::npos);
  EXPECT_NE(pattern({"p", "a", "mask", 257}).find("bytes_max"), std::string::npos);
  EXPECT_NE(pattern({"P", "a", "mask", 9}).find("name"), std::string::npos);
  EXPECT_NE(pattern({"phone", "a", "mask", 9}).find("two types"), std::string::npos);
  RedactionOptions word;
  word.words = {""};
  EXPECT_NE(refusal(word).find("1 to 256 bytes"), std::string::npos);
}

}  // namespace
}  // namespace hearth::security
