#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hearth {
namespace {

// Hands nlohmann the text and notes how far it has read: SAX events come without a position.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  Cursor& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  Cursor operator++(int) {
    Cursor before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Cursor& other) const { return at_ == other.at_; }
  bool operator!=(const Cursor& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

// What nlohmann says, without its prefix and without the text it quotes: that may be private.
std::string reason_of(std::string_view what) {
  const auto dash = what.find(" - ");
  if (dash != std::string_view::npos) what.remove_prefix(dash + 3);
  what = what.substr(0, what.find("; last read"));
  const auto bracket = what.find("] ");
  if (what.starts_with("[json.exception") && bracket != std::string_view::npos) {
    what.remove_prefix(bracket + 2);
  }
  return std::string(what);
}

// Builds the value and enforces what nlohmann's own builder does not: depth and unique keys.
template <class J>
class Builder {
 public:
  using number_integer_t = typename J::number_integer_t;
  using number_unsigned_t = typename J::number_unsigned_t;
  using number_float_t = typename J::number_float_t;
  using string_t = typename J::string_t;
  using binary_t = typename J::binary_t;

  Builder(const char* begin, const char** furthest, std::size_t depth_max)
      : begin_(begin), furthest_(furthest), depth_max_(depth_max) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(number_integer_t value) { return put(value); }
  bool number_unsigned(number_unsigned_t value) { return put(value); }
  bool number_float(number_float_t value, const string_t&) {
    if (!std::isfinite(value)) return refuse("number out of range");
    return put(value);
  }
  bool string(string_t& value) { return put(std::move(value)); }
  bool binary(binary_t&) { return refuse("binary value"); }

  bool start_object(std::size_t) { return open(J::object()); }
  bool start_array(std::size_t) { return open(J::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(string_t& name) {
    auto& members = *open_.back().value->template get_ptr<typename J::object_t*>();
    if constexpr (std::is_same_v<J, OrderedJson>) {
      // ordered_json searches linearly, which hostile input would turn into quadratic time.
      if (!open_.back().keys.insert(name).second) return refuse("duplicate key");
      members.emplace_back(std::move(name), J());
      slot_ = &members.back().second;
    } else {
      auto [it, fresh] = members.emplace(std::move(name), J());
      if (!fresh) return refuse("duplicate key");
      slot_ = &it->second;
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& ex) {
    // nlohmann counts the end of the text as one more byte; we may be one byte past a number.
    const auto read = static_cast<std::size_t>(*furthest_ - begin_);
    // 406: a number beyond double.
    return refuse(ex.id == 406 ? "number out of range" : reason_of(ex.what()),
                  std::min(position, read));
  }

  J take() { return std::move(root_); }
  const Error& error() const { return error_; }

 private:
  struct Level {
    J* value;
    std::set<std::string> keys;  // ordered objects only
  };

  // Where the next value goes, or the root.
  J* place(J&& value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    J* parent = open_.back().value;
    if (parent->is_array()) {
      auto& items = *parent->template get_ptr<typename J::array_t*>();
      items.push_back(std::move(value));
      return &items.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  template <class T>
  bool put(T&& value) {
    place(J(std::forward<T>(value)));
    return true;
  }

  bool open(J&& container) {
    if (open_.size() >= depth_max_) {
      error_ = Error{ErrorKind::kInvalid, "json_too_deep",
                     fmt::format("JSON nested deeper than {} levels at byte {}", depth_max_,
                                 *furthest_ - begin_)};
      return false;
    }
    open_.push_back(Level{place(std::move(container)), {}});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  bool refuse(const std::string& why) {
    return refuse(why, static_cast<std::size_t>(*furthest_ - begin_));
  }

  bool refuse(const std::string& why, std::size_t position) {
    error_ = Error{ErrorKind::kInvalid, "invalid_json",
                   fmt::format("invalid JSON at byte {}: {}", position, why)};
    return false;
  }

  const char* begin_;
  const char** furthest_;
  std::size_t depth_max_;
  J root_;
  J* slot_ = nullptr;  // of the key read last
  std::vector<Level> open_;
  Error error_;
};

template <class J>
Result<J> parse(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return invalid("invalid_json", "JSON text of {} bytes is over the limit of {} (at byte {})",
                   text.size(), limits.bytes_max, limits.bytes_max + 1);
  }
  // nlohmann takes a NUL for the end of the text.
  const auto nul = text.find('\0');
  if (nul != std::string_view::npos) {
    return invalid("invalid_json", "invalid JSON at byte {}: NUL", nul + 1);
  }
  if (text.empty()) return invalid("invalid_json", "invalid JSON at byte 0: no text");
  const char* begin = text.data();
  const char* furthest = begin;
  Builder<J> builder(begin, &furthest, limits.depth_max);
  if (!J::sax_parse(Cursor(begin, &furthest), Cursor(begin + text.size(), &furthest), &builder)) {
    return tl::unexpected<Error>(builder.error());
  }
  return builder.take();
}

template <class J>
std::string dump(const J& value, int indent) {
  return value.dump(indent, ' ', false, J::error_handler_t::replace);
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  return parse<Json>(text, limits);
}

Result<OrderedJson> parse_json_ordered(std::string_view text, const JsonLimits& limits) {
  return parse<OrderedJson>(text, limits);
}

std::string dump_json(const Json& value, int indent) { return dump(value, indent); }
std::string dump_json(const OrderedJson& value, int indent) { return dump(value, indent); }

}  // namespace hearth
