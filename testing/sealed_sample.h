// Small sealed files for tests: a key, chunks of 4096 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fs.h"
#include "formats/sealed_writer.h"

namespace hearth::testing {

inline sealed::KeyRef sample_key(char c = 'k') {
  const std::vector<std::byte> bytes(sealed::kKeyBytes, static_cast<std::byte>(c));
  return sealed::make_key(crypto::Secret(bytes));
}

inline crypto::Ed25519Key sample_signer(char c = 's') {
  const std::vector<std::byte> seed(32, static_cast<std::byte>(c));
  return crypto::Ed25519Key::from_seed(crypto::Secret(seed));
}

// Bytes of which no two places of a few are alike.
inline std::string sample_text(std::size_t size, std::uint64_t seed = 1) {
  std::string out(size, 0);
  std::uint64_t state = seed;
  for (char& c : out) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return out;
}

// Seals the file `from`, which must exist, for sample_key().
inline Status seal_sample(FileSystem& fs, const std::string& from, const std::string& to,
                          const crypto::Ed25519Key* signer = nullptr,
                          std::uint32_t chunk_bytes = sealed::kChunkBytesMin) {
  const sealed::KeyRef key = sample_key();
  return sealed::seal_file(fs, from, to, {{&key, 1}, signer, chunk_bytes});
}

}  // namespace hearth::testing
