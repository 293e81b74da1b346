#include "text/tokenizer/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace hearth::text {
namespace {

// A regular expression that cuts a text into its matches and what is between them.
class Splitter {
 public:
  explicit Splitter(std::string_view pattern) {
    int error = 0;
    std::size_t at = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr);
    EXPECT_NE(code_, nullptr) << pattern << " at " << at;
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);
    match_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  Splitter(const Splitter&) = delete;
  Splitter& operator=(const Splitter&) = delete;
  ~Splitter() {
    pcre2_match_data_free(match_);
    pcre2_code_free(code_);
  }

  // Only [begin, end) of the text exists for the expression.
  void split(std::string_view text, std::uint32_t begin, std::uint32_t end,
             std::vector<std::uint32_t>& ends) const {
    const std::string_view part = text.substr(begin, end - begin);
    std::size_t at = 0;
    while (at < part.size()) {
      const int found = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(part.data()), part.size(),
                                    at, PCRE2_NOTEMPTY, match_, nullptr);
      if (found < 0) break;
      const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(match_);
      if (bounds[0] > at) ends.push_back(begin + static_cast<std::uint32_t>(bounds[0]));
      ends.push_back(begin + static_cast<std::uint32_t>(bounds[1]));
      at = bounds[1];
    }
    if (at < part.size()) ends.push_back(end);
  }

 private:
  pcre2_code* code_ = nullptr;
  pcre2_match_data* match_ = nullptr;
};

struct Known {
  const char* name;
  std::vector<const char*> patterns;  // applied one after another
};

constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))";

std::vector<Known> known() {
  return {
      {"gpt2", {kGpt2}},
      {"smollm", {R"(\p{N})", kGpt2}},
      {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", R"([0-9][0-9][0-9])"}},
      {"falcon", {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, R"([0-9][0-9][0-9])"}},
      {"llama-bpe",
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
        R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {"qwen2",
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
        R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {"qwen35",
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
        R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {"tekken",
       {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
        R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)"
        R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {"gpt-4o",
       {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
        R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|)"
        R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {"deepseek-v3",
       {R"(\p{N}{1,3})", "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+",
        R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
        R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
  };
}

// Random texts of the kinds that make expressions backtrack. The ranges leave out what PCRE2 and
// utf8proc cannot agree on: code points assigned between their versions of Unicode, U+180E, and
// U+017F, which only (?i:) with Unicode's case folding takes for an s.
class RandomText {
 public:
  explicit RandomText(std::uint32_t seed) : random_(seed) {}

  std::string next() {
    static constexpr std::string_view kFragments[] = {
        " ",  " ",  "  ",  "\n", "\r\n", "\t", "'",      "'s",     "'LL",    "'Ve",    "a",
        "B",  "1",  "12",  "/",  "_",    "$",  "\u00A0", "\u3000", "\u0301", "\u01C5", "\u02B0",
        "é",  "É",  "ß",   "中", "の",   "½",  "٣",      "𝟘",      "😀",     "\u200D", "\x01",
        "<|", "|>", "don", "IT", "x",    ".",  "...",    "\u0085", "ª",      "ﬁ",      "`"};
    struct Range {
      char32_t first, last;
    };
    static constexpr Range kRanges[] = {
        {0x00, 0x7F},     {0x80, 0x17E},      {0x180, 0x24F},     {0x400, 0x481},
        {0x5D0, 0x5EA},   {0x620, 0x669},     {0x900, 0x963},     {0x1F00, 0x1F15},
        {0x2000, 0x206F}, {0x2150, 0x218B},   {0x2190, 0x23FF},   {0x3001, 0x3096},
        {0x4E00, 0x9FA5}, {0xAC00, 0xD7A3},   {0xFF01, 0xFF5E},   {0x10400, 0x1044F},
        {0xE000, 0xE010}, {0x1F600, 0x1F64F}, {0x1D400, 0x1D454}, {0xE0100, 0xE0110}};
    std::string text;
    const bool mostly_fragments = below(2) == 0;
    for (std::uint32_t left = 1 + below(60); left > 0; --left) {
      if (below(8) == 0 ? !mostly_fragments : mostly_fragments) {
        text += kFragments[below(std::size(kFragments))];
      } else {
        const Range range = kRanges[below(std::size(kRanges))];
        append_utf8(text, range.first + below(range.last - range.first + 1));
      }
    }
    return text;
  }

 private:
  std::uint32_t below(std::size_t bound) {
    return static_cast<std::uint32_t>(random_() % static_cast<std::uint32_t>(bound));
  }
  std::mt19937 random_;
};

std::vector<std::string> words(const Pretokenizer& pretokenizer, std::string_view text) {
  std::vector<std::uint32_t> ends;
  pretokenizer.split(text, ends);
  std::vector<std::string> out;
  std::uint32_t begin = 0;
  for (const std::uint32_t end : ends) {
    out.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return out;
}

TEST(Pretokenizer, AgreesWithTheExpressions) {
  for (const Known& rules : known()) {
    SCOPED_TRACE(rules.name);
    const auto pretokenizer = Pretokenizer::find(rules.name);
    ASSERT_TRUE(pretokenizer);
    std::vector<std::unique_ptr<Splitter>> splitters;
    for (const char* pattern : rules.patterns) {
      splitters.push_back(std::make_unique<Splitter>(pattern));
    }
    RandomText random(20);
    for (int i = 0; i < 4000; ++i) {
      const std::string text = random.next();
      std::vector<std::uint32_t> expected{static_cast<std::uint32_t>(text.size())};
      for (const auto& splitter : splitters) {
        std::vector<std::uint32_t> finer;
        std::uint32_t begin = 0;
        for (const std::uint32_t end : expected) {
          splitter->split(text, begin, end, finer);
          begin = end;
        }
        expected = std::move(finer);
      }
      std::vector<std::uint32_t> ends;
      pretokenizer->split(text, ends);
      ASSERT_EQ(ends, expected) << testing::PrintToString(text);
    }
  }
}

TEST(Pretokenizer, Examples) {
  using testing::ElementsAre;
  EXPECT_THAT(words(*Pretokenizer::find("smollm"), "I'm 12  x"),
              ElementsAre("I", "'m", " ", "1", "2", " ", " x"));
  EXPECT_THAT(words(*Pretokenizer::find("llama-bpe"), "I'M 12345\n\n x"),
              ElementsAre("I", "'M", " ", "123", "45", "\n\n", " x"));
  EXPECT_THAT(words(*Pretokenizer::find("gpt-4o"), "HelloWorld's ABCs"),
              ElementsAre("Hello", "World's", " ABCs"));
}

TEST(Pretokenizer, InvalidUtf8KeepsItsBytes) {
  for (const Known& rules : known()) {
    std::string text = "a\xFF\xE2\x82 b\xC0\xC0 1\xED\xA0\x80";
    std::string joined;
    for (const std::string& word : words(*Pretokenizer::find(rules.name), text)) {
      EXPECT_FALSE(word.empty());
      joined += word;
    }
    EXPECT_EQ(joined, text) << rules.name;
  }
}

TEST(Pretokenizer, LongRunsAreLinear) {
  for (const Known& rules : known()) {
    for (const char* unit : {"a", "A", " ", "\n", "'", "1", "<", "\u0301", "中", "ªB", " \n"}) {
      std::string text;
      while (text.size() < 300'000) text += unit;
      std::vector<std::uint32_t> ends;
      Pretokenizer::find(rules.name)->split(text, ends);
      EXPECT_TRUE(std::ranges::is_sorted(ends, std::less_equal<>())) << rules.name << " " << unit;
      EXPECT_EQ(ends.back(), text.size()) << rules.name << " " << unit;
    }
  }
}

TEST(Pretokenizer, UnknownIsNamed) {
  const auto unknown = Pretokenizer::find("klingon");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::kUnsupported);
  EXPECT_THAT(unknown.error().message, testing::HasSubstr("klingon"));
}

}  // namespace
}  // namespace hearth::text
