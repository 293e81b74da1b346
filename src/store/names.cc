#include "store/names.h"

#include <algorithm>

namespace hearth::store {
namespace {

constexpr std::size_t kNameMax = 96;
constexpr std::size_t kFileNameMax = 200;

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_small_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_punctuation(char c) { return c == '.' || c == '_' || c == '-'; }

// Control characters must not reach a terminal or a log.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kNameMax)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

}  // namespace

Result<std::string> normalize_name(std::string_view name) {
  std::string normal;
  for (const char c : name) normal += small(c);
  bool good = !normal.empty() && normal.size() <= kNameMax && is_small_alnum(normal.front()) &&
              normal.find("..") == std::string::npos;
  for (const char c : normal) good = good && (is_small_alnum(c) || is_punctuation(c));
  if (!good) {
    return invalid("invalid_name", "'{}' is not a model name: use up to {} of a-z 0-9 . _ -",
                   printable(name), kNameMax);
  }
  return normal;
}

Result<NameAndVersion> parse_reference(std::string_view text) {
  const std::size_t at = text.find('@');
  NameAndVersion reference;
  HEARTH_TRY(reference.name, normalize_name(text.substr(0, at)));
  if (at != std::string_view::npos) {
    HEARTH_TRY(reference.version, normalize_name(text.substr(at + 1)));
  }
  return reference;
}

Result<std::string> name_from(std::string_view text) {
  constexpr std::string_view kSuffix = ".gguf";
  if (text.size() >= kSuffix.size()) {
    const std::string_view end = text.substr(text.size() - kSuffix.size());
    if (std::equal(end.begin(), end.end(), kSuffix.begin(),
                   [](char a, char b) { return small(a) == b; })) {
      text.remove_suffix(kSuffix.size());
    }
  }
  std::string name;
  for (const char original : text) {
    const char c = small(original);
    if (is_small_alnum(c)) {
      name += c;
    } else if (!name.empty() && !is_punctuation(name.back())) {
      name += is_punctuation(c) ? c : '-';
    }
  }
  name.resize(std::min(name.size(), kNameMax));
  while (!name.empty() && is_punctuation(name.back())) name.pop_back();
  return normalize_name(name);
}

Status check_file_name(std::string_view name) {
  bool good = !name.empty() && name.size() <= kFileNameMax && name.front() != '.' &&
              name.front() != '-' && name != "manifest.json" && name != "current";
  for (const char c : name) {
    good = good && (is_small_alnum(small(c)) || is_punctuation(c) || c == '+' || c == '=');
  }
  if (!good) return invalid("invalid_file_name", "refused file name '{}'", printable(name));
  return {};
}

}  // namespace hearth::store
