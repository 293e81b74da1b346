// One scanner for each regular expression. Given the characters [begin, end) of a stretch, begin <
// end, a scanner returns where its first word ends; (?!\S) and $ see `end` as the end of the text.
// What an expression does not match is a word too, up to the next match.
#pragma once

#include <cstdint>

namespace hearth::text {

struct Chars;
using Scanner = std::uint32_t (*)(const Chars& chars, std::uint32_t begin, std::uint32_t end);

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::uint32_t scan_gpt2(const Chars& chars, std::uint32_t begin, std::uint32_t end);

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
// |\s*[\r\n]+|\s+(?!\S)|\s+
std::uint32_t scan_llama3(const Chars& chars, std::uint32_t begin, std::uint32_t end);
// The same with \p{N} for \p{N}{1,3}.
std::uint32_t scan_qwen2(const Chars& chars, std::uint32_t begin, std::uint32_t end);
// qwen2 with [\p{L}\p{M}] for \p{L}, except after [^\r\n.
std::uint32_t scan_qwen35(const Chars& chars, std::uint32_t begin, std::uint32_t end);

// With U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], L = [\p{Ll}\p{Lm}\p{Lo}\p{M}], P = [^\r\n\p{L}\p{N}]?:
// P U*L+|P U+L*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
std::uint32_t scan_tekken(const Chars& chars, std::uint32_t begin, std::uint32_t end);
// The same with an optional (?i:'s|'t|'re|'ve|'m|'ll|'d) after words, and \p{N}{1,3}.
std::uint32_t scan_gpt4o(const Chars& chars, std::uint32_t begin, std::uint32_t end);

// [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
// |\s*[\r\n]+|\s+(?!\S)|\s+
std::uint32_t scan_deepseek3(const Chars& chars, std::uint32_t begin, std::uint32_t end);

std::uint32_t scan_each_number(const Chars& chars, std::uint32_t begin,
                               std::uint32_t end);  // \p{N}
std::uint32_t scan_number_runs(const Chars& chars, std::uint32_t begin,
                               std::uint32_t end);  // \p{N}+
// \p{N}{1,3}
std::uint32_t scan_number_triples(const Chars& chars, std::uint32_t begin, std::uint32_t end);
// [0-9][0-9][0-9]
std::uint32_t scan_ascii_digit_triples(const Chars& chars, std::uint32_t begin, std::uint32_t end);
// [\p{P}$+<=>^~|]+
std::uint32_t scan_punctuation_runs(const Chars& chars, std::uint32_t begin, std::uint32_t end);
// [\p{P}$+<=>^~|`]+
std::uint32_t scan_falcon_punctuation_runs(const Chars& chars, std::uint32_t begin,
                                           std::uint32_t end);
// [\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+
std::uint32_t scan_cjk_runs(const Chars& chars, std::uint32_t begin, std::uint32_t end);

}  // namespace hearth::text
