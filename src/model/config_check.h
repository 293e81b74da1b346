// What the readers of both forms of configuration share.
#pragma once

#include "base/result.h"
#include "model/config.h"

namespace hearth::model {

template <class... Args>
tl::unexpected<Error> bad_config(fmt::format_string<Args...> format, Args&&... args) {
  return invalid("invalid_config", format, std::forward<Args>(args)...);
}

template <class... Args>
tl::unexpected<Error> unsupported_config(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorKind::kUnsupported, "unsupported_config", format, std::forward<Args>(args)...);
}

tl::unexpected<Error> unsupported_architecture(std::string_view name);

// Ranges, divisibility and consistency of a filled configuration; products of any three of its
// numbers stay far from overflowing 63 bits.
Status check_config(const ModelConfig& config);

}  // namespace hearth::model
