// What may be a name in the store. Names come from command lines, requests and the network: they
// are normalised first and then held against a list of allowed characters, so that no name can
// leave the store's folder ("../", "%2e", NUL, a leading dot, a slash: all refused).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::store {

// ASCII letters become small; then 1 to 96 of [a-z0-9._-], the first a letter or digit, no "..".
// Else kInvalid, code "invalid_name".
Result<std::string> normalize_name(std::string_view name);

struct NameAndVersion {
  std::string name;
  std::string version;  // empty: the current one
};
// "name" or "name@version".
Result<NameAndVersion> parse_reference(std::string_view text);

// A name for the store out of a file or repository name: small letters, other characters become
// '-', a ".gguf" at the end goes. Fails when nothing is left.
Result<std::string> name_from(std::string_view text);

// 1 to 200 of [A-Za-z0-9._+=-], the first not a dot or a dash; case is kept. Not a name that the
// store itself uses.
Status check_file_name(std::string_view name);

}  // namespace hearth::store
