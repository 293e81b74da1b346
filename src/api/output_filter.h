// Filters see the text of a choice before it leaves, in pieces with their place, and pass on what
// may leave. They may hold text back until finish().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hearth::api {

struct TextSpan {
  std::string text;              // whole code points
  std::int64_t first_byte = 0;   // of the choice's text
  std::int64_t first_token = 0;  // the tokens it came with: [first_token, end_token)
  std::int64_t end_token = 0;
};

class OutputFilter {
 public:
  virtual ~OutputFilter() = default;
  virtual void push(TextSpan span, std::vector<TextSpan>& out) = 0;
  virtual void finish(std::vector<TextSpan>& out) = 0;
};

// Filters one after the other; none: everything passes.
class FilterChain {
 public:
  explicit FilterChain(std::vector<std::unique_ptr<OutputFilter>> filters = {});
  std::string push(TextSpan span);
  std::string finish();

 private:
  std::vector<TextSpan> run(std::vector<TextSpan> spans, std::size_t from);
  std::vector<std::unique_ptr<OutputFilter>> filters_;
};

}  // namespace hearth::api
