#pragma once

#include <string>
#include <string_view>

namespace hearth {

// For error messages: at most 60 bytes of a name that comes from a file, control characters as '?'.
std::string shown_name(std::string_view name);

}  // namespace hearth
