// Errors as values. Bad input and likely faults of the environment come back as a Result; a broken
// invariant crashes (HEARTH_CHECK). See CONTRIBUTING.md, "Which errors are handled".
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace hearth {

enum class ErrorKind : std::uint8_t {
  kInvalid,      // the input is wrong; trying again will not help          HTTP 400
  kNotFound,     // no such file, model or route                            HTTP 404
  kUnsupported,  // well-formed, but a kind we do not handle; named         HTTP 400
  kTooLarge,     // over a stated limit                                     HTTP 413
  kIo,           // disk or network failed                                  HTTP 500
  kExhausted,    // no room now; trying later may help                      HTTP 429
  kTimeout,      // a deadline passed                                       HTTP 408/504
  kInternal,     // ours; logged with the request id                        HTTP 500
};

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string code;                // stable, snake_case, for programs: "context_length_exceeded"
  std::string message;             // one line for people, without a trailing full stop or newline
  std::int32_t retry_after_s = 0;  // with kExhausted: when there may be room; 0: unknown
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorKind kind, std::string code,
                                         fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(
      Error{kind, std::move(code), fmt::format(format, std::forward<Args>(args)...)});
}

// The most frequent kind: input that breaks the rules of its format.
template <class... Args>
[[nodiscard]] tl::unexpected<Error> invalid(std::string code, fmt::format_string<Args...> format,
                                            Args&&... args) {
  return fail(ErrorKind::kInvalid, std::move(code), format, std::forward<Args>(args)...);
}

// The same error, with what was being done in front: "model.gguf: tensor 3: ...".
[[nodiscard]] inline tl::unexpected<Error> prefixed(const std::string& context, Error error) {
  error.message = context + ": " + error.message;
  return tl::unexpected<Error>(std::move(error));
}

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace hearth

// A broken invariant of our own, never untrusted input. Stays on in release builds.
#define HEARTH_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::hearth::check_failed(#condition, __FILE__, __LINE__))

#define HEARTH_CONCAT_INNER(a, b) a##b
#define HEARTH_CONCAT(a, b) HEARTH_CONCAT_INNER(a, b)

// HEARTH_TRY(auto x, f());  -- x is the value, or the error is returned to the caller.
#define HEARTH_TRY(declaration, expression)                          \
  auto HEARTH_CONCAT(hearth_result_, __LINE__) = (expression);       \
  if (!HEARTH_CONCAT(hearth_result_, __LINE__))                      \
    return ::tl::unexpected<::hearth::Error>(                        \
        std::move(HEARTH_CONCAT(hearth_result_, __LINE__)).error()); \
  declaration = *std::move(HEARTH_CONCAT(hearth_result_, __LINE__))

// HEARTH_TRY_VOID(f());  -- for a Status.
#define HEARTH_TRY_VOID(expression)                                                \
  do {                                                                             \
    auto hearth_status_ = (expression);                                            \
    if (!hearth_status_)                                                           \
      return ::tl::unexpected<::hearth::Error>(std::move(hearth_status_).error()); \
  } while (false)
