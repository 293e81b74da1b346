// URLs as RFC 3986 has them, for the download client and what builds requests for it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::net {

struct Url {
  std::string scheme;  // lower case
  std::string user;    // decoded; mostly empty
  std::string password;
  std::string host;  // lower case, an IPv6 address without brackets
  int port = 0;      // the scheme's default when none is given
  std::string path;  // still percent-encoded, at least "/"
  std::string query;
  std::string fragment;

  bool same_origin(const Url& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
};

// http and https only; anything else, and text that is no URL: kInvalid, code "invalid_url".
Result<Url> parse_url(std::string_view text);

// `reference` may be absolute or relative to `base` (RFC 3986, section 5).
Result<std::string> join_url(const std::string& base, const std::string& reference);

// For messages and records: without user, password, query and fragment, which may hold secrets.
std::string display_url(const std::string& text);

// The last component of the path, decoded; empty when there is none.
std::string url_file_name(const Url& url);

// Everything but letters, digits and -._~ becomes %XX; slashes too unless kept.
std::string percent_encode(std::string_view text, bool keep_slashes);
// Broken escapes are left as they are.
std::string percent_decode(std::string_view text);

// "localhost", 127.0.0.0/8 and ::1, by name: nothing is looked up.
bool is_loopback_host(std::string_view host);

}  // namespace hearth::net
