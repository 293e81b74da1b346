// Reads the fields of a request's object one by one: types and ranges are checked, unknown names
// refused. The first error stays; what is read after it does not matter.
//
// The same calls can describe the object instead: then nothing is read, `take` finds nothing, and
// the JSON Schema of what would be accepted is put together, so that /openapi.json can never say
// anything else than what is enforced.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
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

// A value that asks for nothing, of a field that we do not have.
struct Neutral {
  const char* schema;  // JSON
  bool (*accepts)(const OrderedJson&);
};

using SchemaOf = std::function<OrderedJson()>;  // asked for only when describing

OrderedJson string_schema();  // any string without NUL

// 8.0 counts as 8: languages without integers write it so.
std::optional<std::int64_t> as_integer(const OrderedJson& value);

class Fields {
 public:
  // `scalars_as_text`: the values come from a query, numbers and booleans are written as text.
  // `prefix` stands before names in errors: "stream_options.". `object` must stay.
  explicit Fields(const OrderedJson& object, bool scalars_as_text = false, std::string prefix = {});
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  // Puts the schema into `schema` in finish(), which must stay.
  static Fields describing(OrderedJson& schema) { return Fields(&schema); }
  // The schema of the object that `read` reads.
  static OrderedJson describe(const std::function<void(Fields&)>& read);

  // Null where the field is absent or JSON's null, which clients send for "not set". `schema`: what
  // the caller accepts, without that null.
  const OrderedJson* take(std::string_view name, const SchemaOf& schema);

  bool has(std::string_view name) { return object_ != nullptr && find(name) != nullptr; }

  // Leave `out` as it is where the field is absent. Bounds are inclusive.
  void number(std::string_view name, float& out, double min, double max);
  void integer(std::string_view name, std::int64_t& out, std::int64_t min, std::int64_t max);
  void integer(std::string_view name, std::optional<std::int64_t>& out, std::int64_t min,
               std::int64_t max);
  void boolean(std::string_view name, bool& out);
  void text(std::string_view name, std::string& out);
  // One of these strings. When describing, `out` becomes the first, so that what depends on it is
  // described for that one.
  void one_of(std::string_view name, std::string& out,
              std::initializer_list<std::string_view> choices);
  // An object of its own, read by `read`.
  void object(std::string_view name, const std::function<void(Fields&)>& read);

  // A field of the OpenAI API that we do not have: accepted where its value asks for nothing.
  void unsupported_unless(std::string_view name, const Neutral& neutral);

  void fail(ErrorKind kind, std::string code, std::string_view name, std::string message);
  void adopt(const Fields& inner);      // the error of a part of this object
  void require(std::string_view name);  // error unless present
  void finish();                        // refuses the names that nobody asked for
  const std::optional<ApiError>& error() const { return error_; }
  const std::string& prefix() const { return prefix_; }

 private:
  explicit Fields(OrderedJson* schema) : object_(nullptr), schema_(schema) {}

  const OrderedJson* find(std::string_view name);
  void describe_field(std::string_view name, OrderedJson schema);
  template <class T>
  void describe_range(std::string_view name, const char* type, T min, T max,
                      const std::optional<T>& initial);

  const OrderedJson* const object_;  // null when describing
  OrderedJson* const schema_ = nullptr;
  const bool scalars_as_text_ = false;
  const std::string prefix_;
  std::set<std::string, std::less<>> known_;
  std::set<std::string, std::less<>> required_;  // only when describing
  OrderedJson properties_ = OrderedJson::object();
  std::optional<ApiError> error_;
};

}  // namespace hearth::api
