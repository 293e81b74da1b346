// The metrics that are read off the process's parts at the moment they are asked for. Internal to
// api/metrics*.cc.
#pragma once

#include <vector>

#include "api/metrics.h"

namespace prometheus {
struct MetricFamily;
}

namespace hearth::api {

std::vector<prometheus::MetricFamily> collect_state(const ServerState& state);

}  // namespace hearth::api
