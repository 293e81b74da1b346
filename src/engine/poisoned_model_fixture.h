// A tiny model one of whose tokens makes everything computed from it NaN.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <string>

#include "base/json.h"
#include "engine/engine_fixture.h"
#include "testing/temp_folder.h"

namespace hearth::engine {

inline constexpr TokenId kPoison =
    7;  // its embedding is NaN, and so is all that is computed from it

inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::shared_ptr<const model::Model> poisoned_llama(backend::Precision precision) {
  const std::string original = HEARTH_TEST_DATA "/tiny/llama/";
  const hearth::testing::TempFolder folder;
  folder.write("config.json", read_whole(original + "config.json"));
  std::string tensors = read_whole(original + "model.safetensors");
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, tensors.data(), sizeof header_size);
  const auto header = parse_json(tensors.substr(sizeof header_size, header_size));
  EXPECT_TRUE(header);
  const Json& embedding = (*header)["model.embed_tokens.weight"];
  const auto row_bytes = embedding["shape"][1].get<std::size_t>() * sizeof(float);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(&tensors[sizeof header_size + header_size +
                       embedding["data_offsets"][0].get<std::size_t>() + kPoison * row_bytes],
              &nan, sizeof nan);
  folder.write("model.safetensors", tensors);
  return tiny_model(folder.path(), {2, precision});
}

}  // namespace hearth::engine
