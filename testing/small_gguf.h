// A GGUF model of a few kilobytes, in memory: a llama with two layers and random weights, and a
// byte-level tokenizer of a few tokens.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace hearth::testing {

// `data_begins`, when given, receives the size of the header, padding included.
std::string small_gguf(std::size_t* data_begins = nullptr);

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace hearth::testing
