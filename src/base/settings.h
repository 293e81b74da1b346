// A configuration file as a list of settings that is written down once: the same description reads
// a file, finds mistakes in it and prints the defaults.
//
//   void describe(Settings& in, Options& options) {
//     in.table("server", "Where to listen.", [&](Settings& t) {
//       t.integer("port", options.port, 0, 65535, "0: any free port.");
//     });
//   }
//
// Files are TOML 1.0. Names say their unit at the end: timeout_ms, body_bytes_max.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

// One table of the file. Each call names a setting once; `value` holds the default and is left as
// it is where the file does not mention it.
class Settings {
 public:
  virtual ~Settings() = default;

  virtual void text(std::string_view name, std::string& value, std::string_view comment) = 0;
  virtual void choice(std::string_view name, std::string& value,
                      const std::vector<std::string_view>& allowed, std::string_view comment) = 0;
  virtual void boolean(std::string_view name, bool& value, std::string_view comment) = 0;
  virtual void int64(std::string_view name, std::int64_t& value, std::int64_t min, std::int64_t max,
                     std::string_view comment) = 0;
  virtual void number(std::string_view name, double& value, double min, double max,
                      std::string_view comment) = 0;
  virtual void list(std::string_view name, std::vector<std::string>& value,
                    std::string_view comment) = 0;
  virtual void table(std::string_view name, std::string_view comment,
                     const std::function<void(Settings&)>& describe) = 0;

  // For what no setting shows by itself: an error is a mistake at the line where this table begins,
  // and told only where nothing else is wrong in it. The code becomes "invalid_config".
  virtual void check(const Status& valid) = 0;

  template <std::integral T>
  void integer(std::string_view name, T& value, std::int64_t min, std::int64_t max,
               std::string_view comment) {
    auto number = static_cast<std::int64_t>(value);
    int64(name, number, min, max, comment);
    value = static_cast<T>(number);
  }
  // `name` ends in _ms.
  void duration(std::string_view name, std::chrono::milliseconds& value, std::int64_t min_ms,
                std::int64_t max_ms, std::string_view comment) {
    std::int64_t number = value.count();
    int64(name, number, min_ms, max_ms, comment);
    value = std::chrono::milliseconds(number);
  }
  // [[name]], any number of them. What the file has replaces what the list had.
  template <class T>
  void tables(std::string_view name, std::string_view comment, std::vector<T>& entries,
              const std::function<void(Settings&, T&)>& describe) {
    array(name, comment, entries.size(),
          {[&](std::size_t count) { entries.assign(count, T{}); },
           [&](std::size_t i, Settings& table) {
             T fresh;
             describe(table, i < entries.size() ? entries[i] : fresh);
           }});
  }

 protected:
  struct Array {
    std::function<void(std::size_t count)> resize;
    std::function<void(std::size_t index, Settings& table)> describe;  // index == size: a default
  };
  virtual void array(std::string_view name, std::string_view comment, std::size_t count,
                     const Array& entries) = 0;
};

using Describe = std::function<void(Settings&)>;

// Reads `text` into the values of `describe`. The first mistake ends it, "invalid_config":
// "hearth.toml:12: [limits] has no setting connections_mx; did you mean connections_max?". The
// values may then be half read.
Status read_settings(std::string_view text, std::string_view file_name, const Describe& describe);

// A file that says what the values are now, each under its comment. Empty lists of tables come as
// an example in comments.
std::string print_settings(const Describe& describe);

// The one of `names` that takes the fewest insertions, deletions, replacements and swaps of
// neighbours to become `name` (Damerau 1964, optimal string alignment); empty where even that one
// is not alike.
std::string_view nearest(std::string_view name, const std::vector<std::string_view>& names);

}  // namespace hearth
