// Text to token ids and back. Which algorithm runs follows from the data in the file, never from a
// model's name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::text {

using TokenId = std::int32_t;

enum class TokenType : std::uint8_t {  // GGUF's tokenizer.ggml.token_type
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// Everything a tokenizer is made of, as read from a file.
struct TokenizerData {
  enum class Model : std::uint8_t {
    kByteLevelBpe,      // GPT-2 style: bytes mapped to printable code points, ranked merges
    kSentencePieceBpe,  // scores decide merges, U+2581 for space, <0xNN> byte fallback
  };
  Model model = Model::kByteLevelBpe;
  std::string pre;  // pre-tokenizer, GGUF's tokenizer.ggml.pre: "smollm", "gpt2", ...
  std::vector<std::string> tokens;  // by id
  std::vector<float> scores;        // kSentencePieceBpe: by id; empty: `merges` decide instead
  std::vector<TokenType> types;     // by id; empty: all normal
  std::vector<std::string> merges;  // "left right", best first; GGUF order
  // kByteLevelBpe: a word that is itself a token is taken whole; absent: as `pre` implies.
  std::optional<bool> ignore_merges;
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = false;         // kSentencePieceBpe: at the start and after specials,
  bool space_prefix_first_only = false;  // or only at the very start
  std::optional<TokenId> bos, eos, unk, eot;
  std::string chat_template;  // empty: none

  // As the vocabulary writes it, special tokens too; "" for none. The id is in range.
  std::string text_of(std::optional<TokenId> id) const {
    return id ? tokens[static_cast<std::size_t>(*id)] : std::string();
  }
};

// A stretch of text; only trusted text (a template's own) may turn into control tokens.
struct TextPiece {
  std::string text;
  bool trusted = false;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids of the pieces laid end to end. Within trusted text, control and user-defined tokens are
  // matched longest first; untrusted text can only become normal, user-defined or byte tokens (or
  // the unknown token, where the vocabulary lacks a byte). BOS and EOS are added as the file says
  // when `add_special`; never twice in a row at the start.
  // Invalid UTF-8 is accepted (byte fallback); the caller bounds the length.
  virtual std::vector<TokenId> encode(std::span<const TextPiece> pieces,
                                      bool add_special) const = 0;

  // The bytes this token stands for, which may be a part of a code point. Control tokens give
  // nothing unless `control`. Ids outside the vocabulary give nothing.
  virtual void append_bytes(TokenId id, std::string& out, bool control = false) const = 0;

  virtual std::size_t vocab_size() const = 0;
  virtual const TokenizerData& data() const = 0;
  virtual bool is_control(TokenId id) const = 0;
};

// Checks the data (sizes agree, ids in range, hostile entries such as "<0x-1>" refused, merges
// refer to tokens) and builds the tables. An unknown `pre` is ErrorKind::kUnsupported, named.
Result<std::shared_ptr<const Tokenizer>> make_tokenizer(TokenizerData data);

// Reads Hugging Face's tokenizer.json (+ tokenizer_config.json, may be empty) into the same data.
// BPE models only; other models, normalizers and pre-tokenizers are kUnsupported, named. As in GGUF
// files, Unicode normalisation to NFC and an added token's lstrip and rstrip are not carried over.
Result<TokenizerData> tokenizer_from_json(std::string_view tokenizer_json,
                                          std::string_view tokenizer_config_json);

}  // namespace hearth::text
