#include "engine/cache_size.h"

#include <algorithm>

#include "base/cpu.h"

namespace hearth::engine {

Result<std::vector<std::int64_t>> page_counts(const backend::Backend& backend,
                                              std::span<const backend::KvGroupSpec> groups,
                                              std::int64_t bytes, std::int64_t context,
                                              std::int64_t contexts) {
  const std::int64_t page_tokens = backend.page_tokens();
  std::int64_t bytes_per_page = 0;  // of all groups together
  for (const auto& group : groups) bytes_per_page += backend.page_bytes(group);
  const std::int64_t least = (context + page_tokens - 1) / page_tokens + 1;
  const std::int64_t pages = std::clamp(bytes / bytes_per_page, least, least * contexts);
  if (least * bytes_per_page > available_memory())
    return fail(ErrorKind::kExhausted, "out_of_memory",
                "a context of {} tokens needs {} MiB for keys and values, {} MiB are available; "
                "use a smaller --ctx",
                context, (least * bytes_per_page) >> 20, available_memory() >> 20);
  return std::vector<std::int64_t>(groups.size(), pages);
}

}  // namespace hearth::engine
