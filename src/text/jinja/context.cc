#include "text/jinja/context.h"

namespace hearth::text::jinja {

std::string shown(std::string_view text) {
  constexpr std::size_t kBytesMax = 300;
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = decode(text, at);
    if (at + point.bytes > kBytesMax) break;
    if (point.value < 0x20 || point.value == 0x7f) {
      out += point.value < 0 ? '?' : ' ';
    } else {
      out.append(text, at, point.bytes);
    }
    at += point.bytes;
  }
  if (at < text.size()) out += "...";
  return out;
}

void TextBuilder::append(std::string_view text, bool trusted) {
  if (text.empty() || exhausted_) return;
  const bool extends = !runs_.empty() && runs_.back().trusted == trusted;
  if (!context_.take_bytes(text.size() + (extends ? 0 : sizeof(Run)))) {
    exhausted_ = true;
    return;
  }
  text_.append(text);
  if (extends) {
    runs_.back().end = text_.size();
  } else {
    runs_.push_back({text_.size(), trusted});
  }
}

void TextBuilder::append(const Str& text) { append(text, 0, text.text.size()); }

void TextBuilder::append(const Str& text, std::size_t from, std::size_t to) {
  if (text.runs.empty()) {
    append(text.text.substr(from, to - from), text.trusted);
    return;
  }
  const Str part = text.slice(from, to);
  if (part.runs.empty()) {
    append(part.text, part.trusted);
    return;
  }
  std::size_t start = 0;
  for (const Run& run : part.runs) {
    append(part.text.substr(start, run.end - start), run.trusted);
    start = run.end;
  }
}

void TextBuilder::repeat(std::string_view text, std::size_t times, bool trusted) {
  for (std::size_t i = 0; i < times && !exhausted_ && !text.empty(); ++i) append(text, trusted);
}

Status TextBuilder::check() const {
  if (exhausted_) return budget_error("the template makes too much text");
  return {};
}

Result<Value> TextBuilder::finish() {
  HEARTH_TRY_VOID(check());
  Str out;
  out.trusted = runs_.empty() || runs_[0].trusted;
  if (runs_.size() > 1) out.runs = std::move(runs_);
  out.text = context_.arena.bytes(std::move(text_));
  text_.clear();
  runs_.clear();
  return Value::of_str(context_.arena.str(std::move(out)));
}

Result<std::vector<TextPiece>> TextBuilder::pieces() {
  HEARTH_TRY_VOID(check());
  std::vector<TextPiece> out;
  std::size_t start = 0;
  for (const Run& run : runs_) {
    out.push_back({text_.substr(start, run.end - start), run.trusted});
    start = run.end;
  }
  return out;
}

}  // namespace hearth::text::jinja
