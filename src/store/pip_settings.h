// Where pip would look for packages on this machine: its variables and configuration files, so that
// a site's package mirror serves Hearth's catalogue as well.
// https://pip.pypa.io/en/stable/topics/configuration/
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fs.h"
#include "store/store.h"

namespace hearth::store {

struct PipSettings {
  std::vector<std::string> indexes;  // the index first, then the extra ones; never empty
  std::vector<std::string> trusted_hosts;
  std::string cert;   // a file of certificates
  std::string proxy;  // "http://host:port"
};

PipSettings read_pip_settings(const SourceSettings::Lookup& lookup, FileSystem& fs);

// The settings of one file; later ones override earlier ones. Exposed for tests.
void apply_pip_file(std::string_view text, PipSettings& settings);

}  // namespace hearth::store
