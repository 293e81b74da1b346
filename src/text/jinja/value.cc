#include "text/jinja/value.h"

#include <algorithm>

namespace hearth::text::jinja {

const Value* Dict::find(std::string_view key) const {
  constexpr std::size_t kScan = 12;
  if (entries.size() <= kScan) {
    for (const auto& [k, v] : entries) {
      if (k.is(Kind::kStr) && k.str->text == key) return &v;
    }
    return nullptr;
  }
  // Sorted rather than hashed: keys come from requests and could be made to collide.
  if (!indexed) {
    indexed = true;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].first.is(Kind::kStr)) by_name.push_back(static_cast<std::uint32_t>(i));
    }
    std::sort(by_name.begin(), by_name.end(), [this](std::uint32_t a, std::uint32_t b) {
      return entries[a].first.str->text < entries[b].first.str->text;
    });
  }
  const auto hit = std::lower_bound(
      by_name.begin(), by_name.end(), key,
      [this](std::uint32_t a, std::string_view k) { return entries[a].first.str->text < k; });
  if (hit == by_name.end() || entries[*hit].first.str->text != key) return nullptr;
  return &entries[*hit].second;
}

Value* Namespace::find(std::string_view key) {
  for (auto& [name, value] : entries) {
    if (name == key) return &value;
  }
  return nullptr;
}

const Value* Scope::find(int symbol, std::int64_t& scanned) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent) {
    for (const auto& [name, value] : scope->variables) {
      ++scanned;
      if (name == symbol) return &value;
    }
  }
  return nullptr;
}

void Scope::set(int symbol, const Value& value) {
  for (auto& [name, old] : variables) {
    if (name == symbol) {
      old = value;
      return;
    }
  }
  variables.emplace_back(symbol, value);
}

}  // namespace hearth::text::jinja
