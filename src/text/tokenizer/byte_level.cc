#include "text/tokenizer/byte_level.h"

#include "text/unicode.h"

namespace hearth::text {
namespace {

// The map's code points are below this: 256 + the number of bytes that are not printable.
constexpr std::size_t kMapEnd = 0x144;

struct ByteMap {
  std::array<char32_t, 256> to_code_point{};
  std::array<std::int16_t, kMapEnd> to_byte{};  // -1: not in the map

  constexpr ByteMap() {
    to_byte.fill(-1);
    char32_t next = 256;
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const char32_t code_point = printable ? static_cast<char32_t>(byte) : next++;
      to_code_point[byte] = code_point;
      to_byte[code_point] = static_cast<std::int16_t>(byte);
    }
  }
};
constexpr ByteMap kByteMap;

}  // namespace

Result<ByteLevelBpe> ByteLevelBpe::make(const Vocab& vocab) {
  HEARTH_TRY(const Pretokenizer pretokenizer, Pretokenizer::find(vocab.data().pre));
  HEARTH_TRY(MergeTable merges, MergeTable::make(vocab));
  const bool ignore_merges = vocab.data().ignore_merges.value_or(pretokenizer.ignore_merges());
  ByteLevelBpe bpe(pretokenizer, std::move(merges), ignore_merges);
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string token;
    append_utf8(token, kByteMap.to_code_point[byte]);
    bpe.byte_ids_[byte] = vocab.find(token);
  }
  return bpe;
}

TokenId ByteLevelBpe::whole_word(const Vocab& vocab, std::string_view word,
                                 std::string& mapped) const {
  if (word.size() > vocab.longest()) return kNoToken;
  mapped.clear();
  for (const char c : word) {
    append_utf8(mapped, kByteMap.to_code_point[static_cast<std::uint8_t>(c)]);
  }
  return vocab.find(mapped);
}

void ByteLevelBpe::encode(const Vocab& vocab, std::string_view text,
                          std::vector<TokenId>& out) const {
  std::vector<std::uint32_t> ends;
  pretokenizer_.split(text, ends);
  std::vector<Symbol> symbols;
  MergeScratch scratch;
  std::string mapped;
  const auto lookup = [this](const Symbol& left, const Symbol& right) {
    return merges_.find(left.id, right.id);
  };
  std::uint32_t begin = 0;
  for (const std::uint32_t end : ends) {
    const std::string_view word = text.substr(begin, end - begin);
    const TokenId whole = ignore_merges_ ? whole_word(vocab, word, mapped) : kNoToken;
    if (whole != kNoToken) {
      out.push_back(whole);
      begin = end;
      continue;
    }
    symbols.clear();
    for (std::uint32_t at = begin; at < end; ++at) {
      symbols.push_back({at, 1, byte_ids_[static_cast<std::uint8_t>(text[at])]});
    }
    merge_symbols(symbols, lookup, scratch);
    for (const Symbol& symbol : symbols) {
      const TokenId id = symbol.id != kNoToken ? symbol.id : vocab.fallback();
      if (id != kNoToken) out.push_back(id);
    }
    begin = end;
  }
}

void ByteLevelBpe::append_bytes(std::string_view token, std::string& out) {
  for (std::size_t at = 0; at < token.size();) {
    const Utf8Step step = utf8_step(token, at);
    if (step.state == Utf8State::kValid && step.code_point < kMapEnd &&
        kByteMap.to_byte[step.code_point] >= 0) {
      out.push_back(static_cast<char>(kByteMap.to_byte[step.code_point]));
    } else {
      out.append(token.substr(at, step.size));
    }
    at += step.size;
  }
}

}  // namespace hearth::text
