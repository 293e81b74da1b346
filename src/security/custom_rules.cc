#include "security/custom_rules.h"

#include <re2/re2.h>

#include <algorithm>

namespace hearth::security {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

unsigned char WordList::folded(char byte) const {
  return static_cast<unsigned char>(ignore_case_ ? lower(byte) : byte);
}

Result<WordList> WordList::create(std::vector<std::string> words, bool ignore_case) {
  if (words.size() > kWordsMax)
    return invalid("invalid_redaction", "there may be {} words at most", kWordsMax);
  WordList list;
  list.ignore_case_ = ignore_case;
  for (std::string& word : words) {
    if (word.empty() || word.size() > kWordBytesMax)
      return invalid("invalid_redaction", "a word must have 1 to {} bytes", kWordBytesMax);
    for (char& c : word) c = static_cast<char>(list.folded(c));
    list.longest_ = std::max(list.longest_, word.size());
  }
  std::sort(words.begin(), words.end());  // by bytes without a sign
  words.erase(std::unique(words.begin(), words.end()), words.end());
  for (std::uint32_t i = 0; i < words.size(); ++i) {
    Range& range = list.first_[static_cast<unsigned char>(words[i].front())];
    if (range.end == 0) range.begin = i;
    range.end = i + 1;
  }
  if (ignore_case) {
    for (unsigned char c = 'A'; c <= 'Z'; ++c)
      list.first_[c] = list.first_[list.folded(static_cast<char>(c))];
  }
  list.words_ = std::move(words);
  return list;
}

std::size_t WordList::find(TextWindow& text, std::size_t pos) const {
  const std::string_view all = text.text();
  Range range = first_[static_cast<unsigned char>(all[pos])];
  std::size_t found = 0;
  for (std::size_t depth = 1; range.begin != range.end; ++depth) {
    // All words of the range begin with the bytes so far; the shortest of them is the first.
    if (words_[range.begin].size() == depth) {
      found = pos + depth;
      if (++range.begin == range.end) break;
    }
    if (pos + depth >= all.size()) {
      text.run_out();
      break;
    }
    const unsigned char next = folded(all[pos + depth]);
    const auto at = [&](std::uint32_t i) { return static_cast<unsigned char>(words_[i][depth]); };
    const auto bound = [&](std::uint32_t begin, int least) {  // the first with a byte >= least
      std::uint32_t end = range.end;
      while (begin < end) {
        const std::uint32_t middle = begin + (end - begin) / 2;
        if (at(middle) < least) {
          begin = middle + 1;
        } else {
          end = middle;
        }
      }
      return begin;
    };
    range.begin = bound(range.begin, next);
    range.end = bound(range.begin, next + 1);
  }
  return found;
}

Result<Pattern> Pattern::create(const PatternOptions& options) {
  const auto good_in_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (options.name.empty() || options.name.size() > 40 ||
      !std::all_of(options.name.begin(), options.name.end(), good_in_name))
    return invalid("invalid_redaction", "a pattern's name must be 1 to 40 of a-z, 0-9, _ and -");
  if (options.bytes_max < 1 || options.bytes_max > static_cast<std::int64_t>(kPatternBytesMax))
    return invalid("invalid_redaction", "pattern {}: bytes_max must be 1 to {}", options.name,
                   kPatternBytesMax);
  re2::RE2::Options flags;
  flags.set_log_errors(false);
  flags.set_longest_match(true);
  Pattern pattern;
  const auto regex = std::make_shared<const re2::RE2>(options.regex, flags);
  if (!regex->ok()) {
    const std::string bad = regex->error_arg();
    const std::size_t place = bad.empty() ? std::string::npos : options.regex.find(bad);
    return invalid("invalid_redaction", "pattern {}: {}{}", options.name, regex->error(),
                   place == std::string::npos ? "" : fmt::format(" (at character {})", place + 1));
  }
  if (re2::RE2::PartialMatch("", *regex))
    return invalid("invalid_redaction", "pattern {} matches the empty text", options.name);
  pattern.regex_ = regex;
  pattern.bytes_max_ = static_cast<std::size_t>(options.bytes_max);
  pattern.bounded_ = regex->PossibleMatchRange(&pattern.least_, &pattern.most_, 16);
  return pattern;
}

std::size_t Pattern::next(const TextWindow& window, std::size_t pos) const {
  // At a time, so that a place whose match is too long does not cost the whole text.
  constexpr std::size_t kSearchBytes = 4096;
  const std::string_view text = window.text();
  const std::size_t far = std::min(text.size(), pos + kSearchBytes);
  const re2::StringPiece all(text.data(), text.size());
  re2::StringPiece match;
  std::size_t found = far;
  if (regex_->Match(all, pos, std::min(text.size(), far + bytes_max_), re2::RE2::UNANCHORED, &match,
                    1) &&
      !match.empty())
    found = std::min(far, static_cast<std::size_t>(match.data() - text.data()));
  if (window.whole()) return found;
  // Places so near the end that a match from there may still come.
  const std::size_t reach = std::min(text.size() - pos, bytes_max_ + kPatternLookahead);
  for (std::size_t at = text.size() - reach; at < found; ++at) {
    if (is_continuation(text[at])) continue;
    const std::string_view tail = text.substr(at);
    // A longer text that begins with `tail` can lie between the two.
    if (!bounded_ || (tail >= std::string_view(least_).substr(0, tail.size()) && tail <= most_))
      return at;
  }
  return found;
}

std::size_t Pattern::find(TextWindow& window, std::size_t pos) const {
  const std::string_view text = window.text();
  if (text.size() - pos < bytes_max_ + kPatternLookahead) window.run_out();
  const re2::StringPiece all(text.data(), text.size());
  const std::size_t end = std::min(text.size(), pos + bytes_max_);
  re2::StringPiece match;
  if (!regex_->Match(all, pos, end, re2::RE2::ANCHOR_START, &match, 1)) return 0;
  return match.empty() ? 0 : pos + match.size();
}

}  // namespace hearth::security
