// What `hearth serve` can be told: by a file (TOML, `hearth serve --print-config` shows all of it)
// and by the command line, which wins.
#pragma once

#include <string>
#include <vector>

#include "api/app.h"
#include "apps/audit_config.h"
#include "apps/served.h"
#include "base/result.h"
#include "base/settings.h"
#include "net/server.h"
#include "net/tls.h"
#include "security/identity.h"
#include "security/redaction_policy.h"

namespace hearth::apps {

struct ServeConfig {
  net::ServerOptions server;
  net::TlsOptions tls;
  std::string client_auth = "optional";  // tls.client_required, in words
  api::AppOptions app;
  std::string log_level = "info";
  std::vector<ServedOptions> models;  // the first is `default`
  security::IdentityConfig identities;
  security::RedactionOptions redaction;
  AuditConfig audit;
  std::string site_secret;  // security/site_secret.h; empty: default_site_secret()
};

void describe(Settings& in, ServeConfig& config);
void describe(Settings& in, ServedOptions& model);

// "file:..." in the folder of the store.
Result<std::string> default_site_secret();

// At most 1 MiB. Errors name file, line and setting.
Result<ServeConfig> read_config(const std::string& path);

}  // namespace hearth::apps
