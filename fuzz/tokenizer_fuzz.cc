// A vocabulary made from the input, and a text. Checked: no crash; ids in range; no control token
// out of untrusted text; byte-level BPE with all bytes gives the text back; streamed text is what a
// whole decode gives; tokenizer.json of any content is refused or read.
//
// Input: [mode] [n tokens] n x [type, size, bytes...] the rest is text.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace {

using namespace hearth;
using namespace hearth::text;

class Input {
 public:
  explicit Input(std::string_view bytes) : rest_(bytes) {}
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::string bytes(std::size_t size) {
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(out.size());
    return out;
  }
  std::string rest() { return std::string(rest_); }

 private:
  std::string_view rest_;
};

void require(bool condition) {
  if (!condition) std::abort();
}

// A byte as GPT-2 writes it.
std::string mapped(std::uint8_t byte) {
  static const auto kTable = [] {
    std::vector<std::string> table;
    char32_t next = 256;
    for (unsigned value = 0; value < 256; ++value) {
      const bool printable =
          (value >= 0x21 && value <= 0x7E) || (value >= 0xA1 && value <= 0xAC) || value >= 0xAE;
      append_utf8(table.emplace_back(), printable ? value : next++);
    }
    return table;
  }();
  return kTable[byte];
}

TokenizerData make_data(Input& input, std::uint8_t mode) {
  static constexpr const char* kPre[] = {"gpt2",   "smollm", "llama-bpe",   "qwen2",  "qwen35",
                                         "tekken", "gpt-4o", "deepseek-v3", "falcon", "default"};
  TokenizerData data;
  const bool byte_level = (mode & 1) != 0;
  data.model =
      byte_level ? TokenizerData::Model::kByteLevelBpe : TokenizerData::Model::kSentencePieceBpe;
  data.pre = kPre[(mode >> 1) % std::size(kPre)];
  data.add_space_prefix = (mode & 0x80) != 0;
  const auto add = [&](std::string token, TokenType type) {
    data.tokens.push_back(std::move(token));
    data.types.push_back(type);
    data.scores.push_back(0);
  };
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<std::uint8_t>(byte);
    add(byte_level ? mapped(value) : fmt::format("<0x{:02X}>", byte),
        byte_level ? TokenType::kNormal : TokenType::kByte);
  }
  for (unsigned left = input.byte() % 64; left > 0; --left) {
    const auto type = static_cast<TokenType>(input.byte() % 8);
    const std::uint8_t size = input.byte();
    if (byte_level && type == TokenType::kNormal) {
      // A merge of two tokens that exist.
      const std::string& first = data.tokens[size % data.tokens.size()];
      const std::string& second = data.tokens[input.byte() % data.tokens.size()];
      data.merges.push_back(fmt::format("{} {}", first, second));
      add(first + second, TokenType::kNormal);
    } else {
      add(input.bytes(size % 16), type);
      data.scores.back() = static_cast<float>(size) - 100;
    }
  }
  return data;
}

void check(const Tokenizer& tokenizer, const std::string& text, bool trusted) {
  const std::vector<TextPiece> pieces{{text.substr(0, text.size() / 2), trusted},
                                      {text.substr(text.size() / 2), trusted}};
  const auto ids = tokenizer.encode(pieces, false);
  std::string bytes;
  std::string streamed;
  Detokenizer detokenizer(std::shared_ptr<const Tokenizer>(&tokenizer, [](const Tokenizer*) {}));
  for (const TokenId id : ids) {
    require(id >= 0 && static_cast<std::size_t>(id) < tokenizer.vocab_size());
    require(trusted || !tokenizer.is_control(id));
    tokenizer.append_bytes(id, bytes, true);
    streamed += detokenizer.push(id);
  }
  streamed += detokenizer.finish();
  if (tokenizer.data().model == TokenizerData::Model::kByteLevelBpe) {
    require(bytes == text);
    require(streamed == decode(tokenizer, ids));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  Input input(std::string_view(reinterpret_cast<const char*>(bytes), size));
  const std::uint8_t mode = input.byte();
  if (mode == '{') {
    const std::string json = "{" + input.rest();
    auto data = tokenizer_from_json(json, json);
    if (data) static_cast<void>(make_tokenizer(*std::move(data)));
    return 0;
  }
  const auto tokenizer = make_tokenizer(make_data(input, mode));
  if (!tokenizer) return 0;
  const std::string text = input.rest();
  check(**tokenizer, text, true);
  check(**tokenizer, text, false);
  return 0;
}
