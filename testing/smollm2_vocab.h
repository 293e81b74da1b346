// The real vocabulary of SmolLM2 from tests/data/tokens, for tests of and above the tokenizer.
#pragma once

#include <algorithm>
#include <fstream>
#include <string>

#include "text/tokenizer.h"

namespace hearth::testing {

// `test_data` is HEARTH_TEST_DATA. Empty tokens if the file cannot be read.
inline text::TokenizerData smollm2_vocab(const std::string& test_data) {
  text::TokenizerData data;
  data.pre = "smollm";
  data.bos = 1;
  data.eos = 2;
  data.unk = 0;
  std::ifstream file(test_data + "/tokens/smollm2_vocab.txt");
  std::string line;
  while (std::getline(file, line) && !line.empty()) data.tokens.push_back(line);
  while (std::getline(file, line)) {
    data.merges.push_back(line);
    std::erase(line, ' ');
    data.tokens.push_back(line);
  }
  data.types.assign(data.tokens.size(), text::TokenType::kNormal);
  constexpr std::size_t kControlTokens = 17;
  std::fill_n(data.types.begin(), std::min(kControlTokens, data.types.size()),
              text::TokenType::kControl);
  return data;
}

}  // namespace hearth::testing
