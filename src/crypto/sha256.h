// SHA-256 (FIPS 180-4) of a stream.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace hearth::crypto {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&& other) noexcept;

  void update(std::string_view bytes);
  // 64 lower-case hex digits; afterwards the object starts anew.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view bytes);

// Whether `text` is 64 hex digits, in either case.
bool is_sha256_hex(std::string_view text);

}  // namespace hearth::crypto
