// Reads the fields of a request's object one by one: types and ranges are checked, unknown names
// refused. The first error stays; what is read after it does not matter.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace hearth::api {

struct ApiError {
  Error error;
  std::string param;  // the field in question; may be empty
};

class Fields {
 public:
  // `scalars_as_text`: the values come from a query, numbers and booleans are written as text.
  // `prefix` stands before names in errors: "stream_options.".
  explicit Fields(const OrderedJson& object, bool scalars_as_text = false, std::string prefix = {});

  // Null where the field is absent or JSON's null, which clients send for "not set".
  const OrderedJson* take(std::string_view name);

  // Leave `out` as it is where the field is absent. Bounds are inclusive.
  void number(std::string_view name, float& out, double min, double max);
  void integer(std::string_view name, std::int64_t& out, std::int64_t min, std::int64_t max);
  void integer(std::string_view name, std::optional<std::int64_t>& out, std::int64_t min,
               std::int64_t max);
  void boolean(std::string_view name, bool& out);
  void text(std::string_view name, std::string& out);

  // A field of the OpenAI API that we do not have: accepted where its value asks for nothing.
  void unsupported_unless(std::string_view name,
                          const std::function<bool(const OrderedJson&)>& is_neutral);

  void fail(ErrorKind kind, std::string code, std::string_view name, std::string message);
  void require(std::string_view name);  // error unless present
  void finish();                        // refuses the names that nobody asked for
  const std::optional<ApiError>& error() const { return error_; }

 private:
  const OrderedJson& object_;
  const bool scalars_as_text_;
  const std::string prefix_;
  std::set<std::string, std::less<>> known_;
  std::optional<ApiError> error_;
};

}  // namespace hearth::api
