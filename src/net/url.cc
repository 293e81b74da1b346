#include "net/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <memory>

namespace hearth::net {
namespace {

struct FreeHandle {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
using Handle = std::unique_ptr<CURLU, FreeHandle>;

// The part, or an empty text when the URL has none.
std::string part(CURLU* handle, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, flags) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  return text;
}

Result<Handle> parse(const std::string& text) {
  Handle handle(curl_url());
  HEARTH_CHECK(handle != nullptr);
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), 0);
  if (code != CURLUE_OK || text.find('\0') != std::string::npos) {
    return invalid("invalid_url", "not a URL: {}",
                   code == CURLUE_OK ? "it has a NUL byte" : curl_url_strerror(code));
  }
  return handle;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  HEARTH_TRY(const Handle handle, parse(std::string(text)));
  Url url;
  url.scheme = lower(part(handle.get(), CURLUPART_SCHEME));
  if (url.scheme != "http" && url.scheme != "https") {
    return invalid("invalid_url", "URLs of the scheme '{}' are not supported", url.scheme);
  }
  url.user = part(handle.get(), CURLUPART_USER, CURLU_URLDECODE);
  url.password = part(handle.get(), CURLUPART_PASSWORD, CURLU_URLDECODE);
  url.host = lower(part(handle.get(), CURLUPART_HOST));
  if (url.host.size() > 2 && url.host.front() == '[') {
    url.host = url.host.substr(1, url.host.size() - 2);
  }
  if (url.host.empty()) return invalid("invalid_url", "not a URL: it has no host");
  const std::string port = part(handle.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  for (const char c : port) url.port = url.port * 10 + (c - '0');  // curl checked it: 0..65535
  url.path = part(handle.get(), CURLUPART_PATH);
  url.query = part(handle.get(), CURLUPART_QUERY);
  url.fragment = part(handle.get(), CURLUPART_FRAGMENT);
  return url;
}

Result<std::string> join_url(const std::string& base, const std::string& reference) {
  HEARTH_TRY(const Handle handle, parse(base));
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, reference.c_str(), 0);
  if (code != CURLUE_OK) {
    return invalid("invalid_url", "a link is not a URL: {}", curl_url_strerror(code));
  }
  return part(handle.get(), CURLUPART_URL);
}

std::string display_url(const std::string& text) {
  auto handle = parse(text);
  if (!handle) return "(not a URL)";
  for (const CURLUPart secret :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT}) {
    curl_url_set(handle->get(), secret, nullptr, 0);
  }
  return part(handle->get(), CURLUPART_URL);
}

std::string url_file_name(const Url& url) {
  return percent_decode(std::string_view(url.path).substr(url.path.find_last_of('/') + 1));
}

std::string percent_encode(std::string_view text, bool keep_slashes) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 128 && std::isalnum(byte) != 0) ||
        std::string_view("-._~").find(c) != std::string_view::npos || (keep_slashes && c == '/')) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

bool is_loopback_host(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  in_addr address = {};
  return inet_pton(AF_INET, std::string(host).c_str(), &address) == 1 &&
         (ntohl(address.s_addr) >> 24) == 127;
}

}  // namespace hearth::net
