#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace hearth {

// HEARTH_ISA for the length of a test; afterwards it is as it was.
class IsaWish {
 public:
  explicit IsaWish(const char* name) {
    if (const char* old = std::getenv("HEARTH_ISA")) before_ = old;
    if (name)
      setenv("HEARTH_ISA", name, 1);
    else
      unsetenv("HEARTH_ISA");
  }
  ~IsaWish() {
    if (before_)
      setenv("HEARTH_ISA", before_->c_str(), 1);
    else
      unsetenv("HEARTH_ISA");
  }
  IsaWish(const IsaWish&) = delete;
  IsaWish& operator=(const IsaWish&) = delete;

 private:
  std::optional<std::string> before_;
};

}  // namespace hearth
