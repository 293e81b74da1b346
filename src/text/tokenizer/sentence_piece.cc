#include "text/tokenizer/sentence_piece.h"

#include <bit>

#include "text/unicode.h"

namespace hearth::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

// Higher scores first: floats as integers that compare the other way round. Never Merge::kNever,
// which would be a NaN.
std::uint32_t priority_of(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0F);  // -0 is 0
  const std::uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

}  // namespace

Result<SentencePieceBpe> SentencePieceBpe::make(const Vocab& vocab) {
  SentencePieceBpe bpe;
  if (vocab.data().scores.empty()) {
    HEARTH_TRY(bpe.ranked_, MergeTable::make(vocab));
  } else {
    bpe.priorities_.reserve(vocab.size());
    for (const float score : vocab.data().scores) bpe.priorities_.push_back(priority_of(score));
  }
  for (const std::string& token : vocab.data().tokens) {
    for (std::size_t at = token.find(kSpaceMark, 1); at != std::string::npos;
         at = token.find(kSpaceMark, at + 1)) {
      bpe.joins_space_.set(static_cast<std::uint8_t>(token[at - 1]));
    }
  }
  return bpe;
}

void SentencePieceBpe::encode(const Vocab& vocab, std::string_view text, bool space_prefix,
                              std::vector<TokenId>& out) const {
  std::string marked;
  marked.reserve(text.size() + text.size() / 2 + kSpaceMark.size());
  if (space_prefix) marked += kSpaceMark;
  for (const char c : text) {
    if (c == ' ') {
      marked += kSpaceMark;
    } else {
      marked.push_back(c);
    }
  }
  std::vector<Symbol> symbols;
  MergeScratch scratch;
  const std::string_view all = marked;
  std::size_t begin = 0;
  for (std::size_t at = all.find(kSpaceMark, 1); at != std::string_view::npos;
       at = all.find(kSpaceMark, at + 1)) {
    if (joins_space_[static_cast<std::uint8_t>(all[at - 1])]) continue;
    encode_chunk(vocab, all.substr(begin, at - begin), symbols, scratch, out);
    begin = at;
  }
  if (begin < all.size()) encode_chunk(vocab, all.substr(begin), symbols, scratch, out);
}

Merge SentencePieceBpe::find_merge(const Vocab& vocab, std::string_view text, const Symbol& left,
                                   const Symbol& right) const {
  if (ranked_) return ranked_->find(left.id, right.id);
  const std::uint32_t size = left.size + right.size;
  if (size > vocab.longest()) return {};
  const TokenId id = vocab.find(text.substr(left.begin, size));
  if (id == kNoToken) return {};
  return {priorities_[static_cast<std::size_t>(id)], id};
}

void SentencePieceBpe::encode_chunk(const Vocab& vocab, std::string_view text,
                                    std::vector<Symbol>& symbols, MergeScratch& scratch,
                                    std::vector<TokenId>& out) const {
  symbols.clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = utf8_step(text, at).size;
    symbols.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size),
                       vocab.find(text.substr(at, size))});
    at += size;
  }
  merge_symbols(
      symbols,
      [&](const Symbol& left, const Symbol& right) { return find_merge(vocab, text, left, right); },
      scratch);
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNoToken) {
      out.push_back(symbol.id);
      continue;
    }
    for (const char c : text.substr(symbol.begin, symbol.size)) {
      const TokenId byte = vocab.byte_token(static_cast<std::uint8_t>(c));
      const TokenId id = byte != kNoToken ? byte : vocab.fallback();
      if (id != kNoToken) out.push_back(id);
    }
  }
}

void SentencePieceBpe::append_bytes(std::string_view token, std::string& out) {
  for (std::size_t at = 0; at < token.size();) {
    if (token.substr(at).starts_with(kSpaceMark)) {
      out.push_back(' ');
      at += kSpaceMark.size();
    } else {
      out.push_back(token[at++]);
    }
  }
}

}  // namespace hearth::text
