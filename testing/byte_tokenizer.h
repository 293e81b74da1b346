// A tokenizer of bytes: ids 0 to 255 are bytes, then four control tokens.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace hearth::testing {

class ByteTokenizer final : public text::Tokenizer {
 public:
  static constexpr text::TokenId kBos = 256;
  static constexpr text::TokenId kEos = 257;
  static constexpr std::array<std::string_view, 4> kControl = {"<s>", "</s>", "<|im_start|>",
                                                               "<|im_end|>"};

  explicit ByteTokenizer(std::string chat_template = {}) {
    for (int i = 0; i < 256; ++i) data_.tokens.emplace_back(1, static_cast<char>(i));
    for (const std::string_view name : kControl) data_.tokens.emplace_back(name);
    data_.add_bos = true;
    data_.bos = kBos;
    data_.eos = kEos;
    data_.chat_template = std::move(chat_template);
  }

  std::vector<text::TokenId> encode(std::span<const text::TextPiece> pieces,
                                    bool add_special) const override {
    std::vector<text::TokenId> ids;
    if (add_special) ids.push_back(kBos);
    for (const text::TextPiece& piece : pieces) {
      std::string_view rest = piece.text;
      while (!rest.empty()) {
        std::size_t length = 1;
        text::TokenId id = static_cast<unsigned char>(rest.front());
        for (std::size_t i = 0; piece.trusted && i < kControl.size(); ++i) {
          if (rest.starts_with(kControl[i])) {
            length = kControl[i].size();
            id = static_cast<text::TokenId>(256 + i);
          }
        }
        ids.push_back(id);
        rest.remove_prefix(length);
      }
    }
    return ids;
  }

  void append_bytes(text::TokenId id, std::string& out, bool control) const override {
    if (id >= 0 && id < 256) {
      out.push_back(static_cast<char>(id));
    } else if (control && is_control(id)) {
      out += kControl[static_cast<std::size_t>(id - 256)];
    }
  }

  std::size_t vocab_size() const override { return data_.tokens.size(); }
  const text::TokenizerData& data() const override { return data_; }
  bool is_control(text::TokenId id) const override { return id >= 256 && id < 260; }

 private:
  text::TokenizerData data_;
};

}  // namespace hearth::testing
