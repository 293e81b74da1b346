// What `hearth serve` can be told: by a file (TOML, `hearth serve --print-config` shows all of it)
// and by the command line, which wins.
#pragma once

#include <string>
#include <vector>

#include "api/app.h"
#include "apps/served.h"
#include "base/result.h"
#include "base/settings.h"
#include "net/server.h"
#include "security/identity.h"

namespace hearth::apps {

struct ServeConfig {
  net::ServerOptions server;
  api::AppOptions app;
  std::string log_level = "info";
  std::vector<ServedOptions> models;  // the first is `default`
  std::vector<security::KeyEntry> keys;
};

void describe(Settings& in, ServeConfig& config);
void describe(Settings& in, ServedOptions& model);

// At most 1 MiB. Errors name file, line and setting.
Result<ServeConfig> read_config(const std::string& path);

}  // namespace hearth::apps
