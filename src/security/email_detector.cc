#include "security/email_detector.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

namespace hearth::security {
namespace {

// Endings of files that are no top-level domains.
constexpr std::string_view kFileEndings[] = {
    "png",  "jpg", "jpeg", "gif", "svg",  "webp", "bmp", "ico", "css", "js", "jsx", "ts",  "tsx",
    "html", "htm", "json", "xml", "yaml", "yml",  "txt", "pdf", "tar", "gz", "exe", "dll", "tgz"};

bool is_top_level(const std::string& label) {
  if (label.starts_with("xn--")) return label.size() > 4;
  const bool letters = std::all_of(label.begin(), label.end(),
                                   [](char c) { return is_letter(static_cast<unsigned char>(c)); });
  return letters && label.size() >= 2 &&
         std::find(std::begin(kFileEndings), std::end(kFileEndings), label) ==
             std::end(kFileEndings);
}

}  // namespace

bool is_local_start(char32_t c) { return is_letter(c) || is_digit(c) || c == U'_'; }

bool is_local_char(char32_t c) {
  return is_local_start(c) || c == U'.' || c == U'%' || c == U'+' || c == U'-' || c == U'\'';
}

std::size_t find_domain(TextWindow& text, std::size_t pos) {
  const std::size_t begin = pos;
  std::size_t good = 0;
  int labels = 0;     // before the one that is being read
  std::string label;  // folded, in lower case
  for (;;) {
    const FoldedChar c = text.at(pos);
    const bool word = is_letter(c.code) || is_digit(c.code);
    const bool inside = word || c.code == U'-' || c.code == U'.';
    // What has been read may be the whole top level, also before a hyphen or a number that was
    // written without a space: "a@b.com-foo", "a@b.cn13812345678".
    if (!is_letter(c.code) && labels > 0 && is_top_level(label)) good = pos;
    if (!inside || pos + c.size > begin + kDomainBytesMax) break;
    if (c.code == U'.') {
      if (label.empty() || label.back() == '-') break;
      ++labels;
      label.clear();
    } else {
      if (label.empty() && c.code == U'-') break;
      const char32_t lower = is_letter(c.code) ? c.code | 0x20 : c.code;
      label += static_cast<char>(lower);
    }
    pos += c.size;
  }
  return good;
}

}  // namespace hearth::security
