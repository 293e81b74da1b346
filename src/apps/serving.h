// A server at work: what `hearth serve` does between its configuration and its end.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "apps/serve_config.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "net/tls_watch.h"

namespace hearth::apps {

// Loads the models, listens, and blocks until SIGTERM or SIGINT has drained the server. SIGHUP
// calls `read_again` on a thread of its own: what it returns is what holds from then on, and an
// error leaves everything as it is. `tls`: of config.tls; null: plain HTTP. `audit_signer`: with an
// audit log, the key that signs it. An engine that failed ends it too, as an error.
Status serve(ServeConfig config, std::unique_ptr<net::TlsWatch> tls,
             std::optional<crypto::Ed25519Key> audit_signer,
             const std::function<Result<ServeConfig>()>& read_again);

}  // namespace hearth::apps
