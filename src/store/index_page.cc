#include "store/index_page.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"
#include "crypto/sha256.h"
#include "net/url.h"

namespace hearth::store {
namespace {

constexpr std::size_t kPageMax = 16u << 20;

// The link without its fragment, and the checksum out of the fragment.
std::optional<IndexFile> from_link(const std::string& link, const std::string& page_url,
                                   std::string filename) {
  auto absolute = net::join_url(page_url, link);
  if (!absolute) return std::nullopt;
  IndexFile file;
  const std::size_t hash = absolute->find('#');
  if (hash != std::string::npos) {
    const std::string fragment = absolute->substr(hash + 1);
    const std::size_t at = fragment.find("sha256=");
    if (at != std::string::npos) {
      const std::string digits = fragment.substr(at + 7, 64);
      if (crypto::is_sha256_hex(digits)) file.sha256 = digits;
    }
    absolute->resize(hash);
  }
  if (filename.empty()) {
    const auto url = net::parse_url(*absolute);
    if (!url) return std::nullopt;
    filename = net::url_file_name(*url);
  }
  file.filename = std::move(filename);
  file.url = *std::move(absolute);
  return file;
}

Result<std::vector<IndexFile>> from_json(std::string_view text, const std::string& page_url) {
  HEARTH_TRY(const Json json, parse_json(text, {.bytes_max = kPageMax}));
  const auto list = json.is_object() ? json.find("files") : json.end();
  if (!json.is_object() || list == json.end() || !list->is_array()) {
    return invalid("bad_index", "the package index answers with JSON that lists no files");
  }
  std::vector<IndexFile> files;
  for (const Json& entry : *list) {
    if (!entry.is_object()) continue;
    const auto url = entry.find("url");
    const auto name = entry.find("filename");
    if (url == entry.end() || !url->is_string() || name == entry.end() || !name->is_string()) {
      continue;
    }
    auto file = from_link(url->get<std::string>(), page_url, name->get<std::string>());
    if (!file) continue;
    const auto hashes = entry.find("hashes");
    if (hashes != entry.end() && hashes->is_object()) {
      const auto sha256 = hashes->find("sha256");
      if (sha256 != hashes->end() && sha256->is_string() &&
          crypto::is_sha256_hex(sha256->get<std::string>())) {
        file->sha256 = sha256->get<std::string>();
      }
    }
    files.push_back(*std::move(file));
  }
  return files;
}

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

std::string without_entities(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, char>, 5> kEntities = {
      {{"&amp;", '&'}, {"&quot;", '"'}, {"&#x27;", '\''}, {"&lt;", '<'}, {"&gt;", '>'}}};
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto* entity = std::find_if(kEntities.begin(), kEntities.end(), [&](const auto& e) {
      return text.substr(i).starts_with(e.first);
    });
    if (entity != kEntities.end()) {
      out += entity->second;
      i += entity->first.size();
    } else {
      out += text[i++];
    }
  }
  return out;
}

// The value of `href` among a tag's attributes: text between "<a" and ">".
std::optional<std::string> href_of(std::string_view tag) {
  std::size_t at = 0;
  while (at < tag.size()) {
    while (at < tag.size() && is_space(tag[at])) ++at;
    std::string name;
    while (at < tag.size() && !is_space(tag[at]) && tag[at] != '=') name += small(tag[at++]);
    while (at < tag.size() && is_space(tag[at])) ++at;
    if (at >= tag.size() || tag[at] != '=') {
      if (name.empty()) return std::nullopt;
      continue;  // an attribute without a value
    }
    ++at;
    while (at < tag.size() && is_space(tag[at])) ++at;
    std::size_t end = at;
    if (at < tag.size() && (tag[at] == '"' || tag[at] == '\'')) {
      end = std::min(tag.find(tag[at], at + 1), tag.size());
      ++at;
    } else {
      while (end < tag.size() && !is_space(tag[end])) ++end;
    }
    if (name == "href") return without_entities(tag.substr(at, end - at));
    at = std::min(end + 1, tag.size());
  }
  return std::nullopt;
}

// Where the tag that starts at `at` ends: the next '>' that is not inside quotes.
std::size_t tag_end(std::string_view text, std::size_t at) {
  char quote = '\0';
  for (; at < text.size(); ++at) {
    if (quote != '\0') {
      if (text[at] == quote) quote = '\0';
    } else if (text[at] == '"' || text[at] == '\'') {
      quote = text[at];
    } else if (text[at] == '>') {
      break;
    }
  }
  return at;
}

std::vector<IndexFile> from_html(std::string_view text, const std::string& page_url) {
  std::vector<IndexFile> files;
  for (std::size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at)) {
    ++at;
    if (at + 1 >= text.size() || small(text[at]) != 'a' || !is_space(text[at + 1])) continue;
    const std::size_t end = tag_end(text, at);
    const auto href = href_of(text.substr(at + 1, end - at - 1));
    at = end;
    if (!href) continue;
    // The file's name is the link's own last component: the text between the tags is for people.
    if (auto file = from_link(*href, page_url, {})) files.push_back(*std::move(file));
  }
  return files;
}

}  // namespace

Result<std::vector<IndexFile>> parse_index_page(std::string_view text,
                                                std::string_view content_type,
                                                const std::string& page_url) {
  if (content_type.find("json") != std::string_view::npos) return from_json(text, page_url);
  if (content_type.find("html") != std::string_view::npos) return from_html(text, page_url);
  return invalid("bad_index", "the package index answers with content type '{}'", content_type);
}

}  // namespace hearth::store
