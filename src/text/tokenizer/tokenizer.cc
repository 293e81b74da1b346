#include "text/tokenizer.h"

#include <optional>

#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/sentence_piece.h"
#include "text/tokenizer/special_tokens.h"
#include "text/tokenizer/vocab.h"

namespace hearth::text {
namespace {

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(Vocab vocab, SpecialTokens special, std::optional<ByteLevelBpe> byte_level,
               std::optional<SentencePieceBpe> sentence_piece)
      : vocab_(std::move(vocab)),
        special_(std::move(special)),
        byte_level_(std::move(byte_level)),
        sentence_piece_(std::move(sentence_piece)) {}

  std::vector<TokenId> encode(std::span<const TextPiece> pieces, bool add_special) const override {
    std::string text;
    std::vector<ByteRange> trusted;
    for (const TextPiece& piece : pieces) {
      const std::size_t begin = text.size();
      text += piece.text;
      if (!piece.trusted || piece.text.empty()) continue;
      if (!trusted.empty() && trusted.back().end == begin) {
        trusted.back().end = text.size();
      } else {
        trusted.push_back({begin, text.size()});
      }
    }

    std::vector<TokenId> ids;
    std::size_t done = 0;
    const std::string_view all = text;
    for (const SpecialMatch& match : special_.match(text, trusted)) {
      encode_run(all.substr(done, match.begin - done), done, ids);
      ids.push_back(match.id);
      done = match.end;
    }
    encode_run(all.substr(done), done, ids);

    if (add_special) {
      const TokenizerData& data = vocab_.data();
      const bool has_bos = !ids.empty() && ids.front() == data.bos;
      if (data.add_bos && !has_bos) ids.insert(ids.begin(), *data.bos);
      if (data.add_eos) ids.push_back(*data.eos);
    }
    return ids;
  }

  void append_bytes(TokenId id, std::string& out, bool control) const override {
    if (!vocab_.contains(id)) return;
    const std::string& token = vocab_.text(id);
    switch (vocab_.type(id)) {
      case TokenType::kControl:
      case TokenType::kUnknown:
        if (control) out += token;
        return;
      case TokenType::kByte:
        out.push_back(static_cast<char>(Vocab::byte_of(token)));
        return;
      case TokenType::kUserDefined:
        if (byte_level_) {
          out += token;
          return;
        }
        break;
      case TokenType::kUnused:
        return;
      case TokenType::kNormal:
        break;
    }
    if (byte_level_) {
      ByteLevelBpe::append_bytes(token, out);
    } else {
      SentencePieceBpe::append_bytes(token, out);
    }
  }

  std::size_t vocab_size() const override { return vocab_.size(); }
  const TokenizerData& data() const override { return vocab_.data(); }
  bool is_control(TokenId id) const override {
    return vocab_.contains(id) && vocab_.type(id) == TokenType::kControl;
  }

 private:
  // The text between two special tokens (or an end), which begins at byte `begin` of the whole.
  void encode_run(std::string_view run, std::size_t begin, std::vector<TokenId>& ids) const {
    if (run.empty()) return;
    if (byte_level_) {
      byte_level_->encode(vocab_, run, ids);
      return;
    }
    const TokenizerData& data = vocab_.data();
    const bool prefix = data.add_space_prefix && (begin == 0 || !data.space_prefix_first_only);
    sentence_piece_->encode(vocab_, run, prefix, ids);
  }

  Vocab vocab_;
  SpecialTokens special_;
  std::optional<ByteLevelBpe> byte_level_;  // one of the two
  std::optional<SentencePieceBpe> sentence_piece_;
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> make_tokenizer(TokenizerData data) {
  HEARTH_TRY(Vocab vocab, Vocab::make(std::move(data)));
  HEARTH_TRY(SpecialTokens special, SpecialTokens::make(vocab));
  std::optional<ByteLevelBpe> byte_level;
  std::optional<SentencePieceBpe> sentence_piece;
  if (vocab.data().model == TokenizerData::Model::kByteLevelBpe) {
    HEARTH_TRY(byte_level, ByteLevelBpe::make(vocab));
  } else {
    HEARTH_TRY(sentence_piece, SentencePieceBpe::make(vocab));
  }
  return std::make_shared<const BpeTokenizer>(std::move(vocab), std::move(special),
                                              std::move(byte_level), std::move(sentence_piece));
}

}  // namespace hearth::text
