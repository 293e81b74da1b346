// The pages of a Python package index: JSON (PEP 691) and HTML (PEP 503).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::store {

struct IndexFile {
  std::string filename;
  std::string url;     // absolute
  std::string sha256;  // empty when the page does not tell
};

// `page_url`: where the page came from after redirects; links may be relative to it.
// Links that make no sense are skipped; a page that is neither JSON nor HTML: "bad_index".
Result<std::vector<IndexFile>> parse_index_page(std::string_view text,
                                                std::string_view content_type,
                                                const std::string& page_url);

}  // namespace hearth::store
