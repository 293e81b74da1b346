#include "api/output_filter.h"

namespace hearth::api {
namespace {

std::string join(const std::vector<TextSpan>& spans) {
  std::string out;
  for (const TextSpan& span : spans) out += span.text;
  return out;
}

}  // namespace

FilterChain::FilterChain(std::vector<std::unique_ptr<OutputFilter>> filters)
    : filters_(std::move(filters)) {}

std::vector<TextSpan> FilterChain::run(std::vector<TextSpan> spans, std::size_t from) {
  for (std::size_t i = from; i < filters_.size(); ++i) {
    std::vector<TextSpan> next;
    for (TextSpan& span : spans) filters_[i]->push(std::move(span), next);
    spans = std::move(next);
  }
  return spans;
}

std::string FilterChain::push(TextSpan span) {
  std::vector<TextSpan> spans;
  spans.push_back(std::move(span));
  return join(run(std::move(spans), 0));
}

std::string FilterChain::finish() {
  std::string out;
  for (std::size_t i = 0; i < filters_.size(); ++i) {
    std::vector<TextSpan> last;
    filters_[i]->finish(last);
    out += join(run(std::move(last), i + 1));
  }
  return out;
}

}  // namespace hearth::api
