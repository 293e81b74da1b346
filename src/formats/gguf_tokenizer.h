// The tokenizer that a GGUF file carries, as data.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace hearth {

// No value: the file has no tokenizer. A kind other than "gpt2" (byte-level BPE) and "llama"
// (SentencePiece style) is kUnsupported and named. Only what concerns the encoding is checked here
// (types and lengths of the arrays); text::make_tokenizer checks the rest.
Result<std::optional<text::TokenizerData>> tokenizer_from_gguf(const GgufFile& file);

// Ids that end a text: the file's EOS, EOT and EOM, and, when it names no EOT, the first special
// token with the text that chat models are known to end a turn with. Without duplicates.
Result<std::vector<text::TokenId>> end_tokens_from_gguf(const GgufFile& file);

}  // namespace hearth
