// The files that are part of the program. The lists are made by cmake/assets.cmake.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::api {

struct Asset {
  std::string_view path;  // "/app.css"; "/" for the page itself
  std::string_view content_type;
  std::string_view body;  // lives as long as the program
};

// The chat page: web/, and the Markdown lexer with its licence under /vendor/.
std::vector<Asset> console_assets();

}  // namespace hearth::api
