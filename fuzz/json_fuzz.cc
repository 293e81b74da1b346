// JSON: both parsers agree, and what is written is read back as the same value.
#include "base/json.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto json = hearth::parse_json(text);
  const auto ordered = hearth::parse_json_ordered(text);
  HEARTH_CHECK(json.has_value() == ordered.has_value());
  if (!json) {
    HEARTH_CHECK(json.error().message == ordered.error().message);
    HEARTH_CHECK(json.error().message.find('\n') == std::string::npos);
    return 0;
  }
  const std::string written = hearth::dump_json(*json);
  const auto again = hearth::parse_json(written, {.bytes_max = written.size()});
  HEARTH_CHECK(again.has_value() && *again == *json);
  const std::string kept = hearth::dump_json(*ordered);
  const auto from_kept = hearth::parse_json(kept, {.bytes_max = kept.size()});
  HEARTH_CHECK(from_kept.has_value() && *from_kept == *json);
  return 0;
}
