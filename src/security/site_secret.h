// The secret under which keys are hashed (api_key.h). It stands apart from the hashes: in a file of
// its own or in the environment, the same for all replicas.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::security {

// `source`: "file:PATH" or "env:NAME"; 64 hex digits, and white space around them. "no_site_secret"
// if it is not there, "invalid_site_secret" if it is not such a number or a file that others than
// its owner and group may read.
Result<std::vector<std::byte>> read_site_secret(const std::string& source);

// Makes a file with a new one, mode 0600, unless it is there already.
Status make_site_secret(const std::string& path);

}  // namespace hearth::security
