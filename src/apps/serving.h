// A server at work: what `hearth serve` does between its configuration and its end.
#pragma once

#include <memory>
#include <string>

#include "apps/serve_config.h"
#include "base/result.h"

namespace hearth::apps {

// Loads the models, listens, and blocks until SIGTERM or SIGINT has drained the server. SIGHUP
// calls `read_again` on a thread of its own: what it returns is what holds from then on, and an
// error leaves everything as it is. An engine that failed ends it too, as an error.
Status serve(ServeConfig config, const std::function<Result<ServeConfig>()>& read_again);

}  // namespace hearth::apps
