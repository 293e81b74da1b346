// How many pages a cache of keys and values is to have.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace hearth::engine {

// Of each group, for a cache of about `bytes`: at least one full context and at most what
// `contexts` of them can use. "out_of_memory" if even the least is more than there is.
Result<std::vector<std::int64_t>> page_counts(const backend::Backend& backend,
                                              std::span<const backend::KvGroupSpec> groups,
                                              std::int64_t bytes, std::int64_t context,
                                              std::int64_t contexts);

}  // namespace hearth::engine
