#include "base/settings.h"

#include <algorithm>
#include <optional>

// Results instead of exceptions; compiled here alone.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

namespace hearth {
namespace {

const char* kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a point";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

struct Reading {
  std::string_view file_name;
  std::optional<Error> error;  // the first one

  void fail(const toml::source_region& where, const std::string& message) {
    if (error) return;
    error = Error{ErrorKind::kInvalid, "invalid_config",
                  fmt::format("{}:{}: {}", file_name, where.begin.line, message)};
  }
};

class Reader final : public Settings {
 public:
  // `path`: how messages name this table; empty at the top.
  Reader(Reading& reading, const toml::table& table, std::string path)
      : reading_(reading), table_(table), path_(std::move(path)) {}

  void text(std::string_view name, std::string& value, std::string_view) override {
    if (const toml::node* node = take(name)) {
      if (node->is_string()) {
        value = node->as_string()->get();
      } else {
        wrong_type(name, *node, "a string");
      }
    }
  }
  void choice(std::string_view name, std::string& value,
              const std::vector<std::string_view>& allowed, std::string_view comment) override {
    std::string given = value;
    text(name, given, comment);
    if (std::find(allowed.begin(), allowed.end(), given) == allowed.end()) {
      reading_.fail(table_.get(name)->source(),
                    fmt::format("{} must be one of: {}", full(name), fmt::join(allowed, ", ")));
      return;
    }
    value = given;
  }
  void boolean(std::string_view name, bool& value, std::string_view) override {
    if (const toml::node* node = take(name)) {
      if (node->is_boolean()) {
        value = node->as_boolean()->get();
      } else {
        wrong_type(name, *node, "true or false");
      }
    }
  }
  void int64(std::string_view name, std::int64_t& value, std::int64_t min, std::int64_t max,
             std::string_view) override {
    const toml::node* node = take(name);
    if (node == nullptr) return;
    if (!node->is_integer()) return wrong_type(name, *node, "an integer");
    const std::int64_t given = node->as_integer()->get();
    if (given < min || given > max) {
      reading_.fail(node->source(),
                    fmt::format("{} must be from {} to {}, not {}", full(name), min, max, given));
      return;
    }
    value = given;
  }
  void number(std::string_view name, double& value, double min, double max,
              std::string_view) override {
    const toml::node* node = take(name);
    if (node == nullptr) return;
    if (!node->is_number()) return wrong_type(name, *node, "a number");
    const double given = node->is_integer() ? static_cast<double>(node->as_integer()->get())
                                            : node->as_floating_point()->get();
    if (!(given >= min && given <= max)) {
      reading_.fail(node->source(),
                    fmt::format("{} must be from {} to {}, not {}", full(name), min, max, given));
      return;
    }
    value = given;
  }
  void list(std::string_view name, std::vector<std::string>& value, std::string_view) override {
    const toml::node* node = take(name);
    if (node == nullptr) return;
    if (!node->is_array()) return wrong_type(name, *node, "a list of strings");
    std::vector<std::string> given;
    for (const toml::node& element : *node->as_array()) {
      if (!element.is_string()) return wrong_type(name, element, "a list of strings");
      given.push_back(element.as_string()->get());
    }
    value = std::move(given);
  }
  void table(std::string_view name, std::string_view,
             const std::function<void(Settings&)>& describe) override {
    const toml::node* node = take(name);
    if (node == nullptr) return;
    if (!node->is_table()) return wrong_type(name, *node, "a table");
    Reader inner(reading_, *node->as_table(), full(name));
    describe(inner);
    inner.finish();
  }
  void check(const Status& valid) override {
    if (!valid) checks_.push_back(valid.error().message);
  }

  void finish() {
    for (const auto& [key, node] : table_) {
      if (std::find(known_.begin(), known_.end(), key.str()) != known_.end()) continue;
      const std::string_view alike = nearest(key.str(), known_);
      const std::string where = path_.empty() ? "the file" : "[" + path_ + "]";
      const std::string hint =
          alike.empty() ? std::string() : fmt::format("; did you mean {}?", alike);
      reading_.fail(key.source(), fmt::format("{} has no setting {}{}", where, key.str(), hint));
    }
    for (const std::string& message : checks_) reading_.fail(table_.source(), message);
  }

 private:
  void array(std::string_view name, std::string_view, std::size_t, const Array& entries) override {
    const toml::node* node = take(name);
    if (node == nullptr) return;
    if (!node->is_array_of_tables())
      return wrong_type(name, *node, "written [[" + full(name) + "]]");
    const toml::array& given = *node->as_array();
    entries.resize(given.size());
    for (std::size_t i = 0; i < given.size(); ++i) {
      Reader inner(reading_, *given[i].as_table(), full(name));
      entries.describe(i, inner);
      inner.finish();
    }
  }
  const toml::node* take(std::string_view name) {
    known_.push_back(name);
    return table_.get(name);
  }
  std::string full(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }
  void wrong_type(std::string_view name, const toml::node& node, std::string_view wanted) {
    reading_.fail(node.source(),
                  fmt::format("{} must be {}, not {}", full(name), wanted, kind_of(node)));
  }

  Reading& reading_;
  const toml::table& table_;
  const std::string path_;
  std::vector<std::string_view> known_;
  std::vector<std::string> checks_;  // what failed
};

class Printer final : public Settings {
 public:
  Printer(std::string& out, std::string path, bool as_example)
      : out_(out), path_(std::move(path)), lead_(as_example ? "# " : "") {}

  void text(std::string_view name, std::string& value, std::string_view comment) override {
    line(name, quoted(value), comment);
  }
  void choice(std::string_view name, std::string& value,
              const std::vector<std::string_view>& allowed, std::string_view comment) override {
    line(name, quoted(value), fmt::format("{} One of: {}.", comment, fmt::join(allowed, ", ")));
  }
  void boolean(std::string_view name, bool& value, std::string_view comment) override {
    line(name, value ? "true" : "false", comment);
  }
  void int64(std::string_view name, std::int64_t& value, std::int64_t min, std::int64_t max,
             std::string_view comment) override {
    line(name, std::to_string(value), fmt::format("{} From {} to {}.", comment, min, max));
  }
  void number(std::string_view name, double& value, double min, double max,
              std::string_view comment) override {
    line(name, fmt::format("{}", value), fmt::format("{} From {} to {}.", comment, min, max));
  }
  void list(std::string_view name, std::vector<std::string>& value,
            std::string_view comment) override {
    std::vector<std::string> elements;
    for (const std::string& element : value) elements.push_back(quoted(element));
    line(name, fmt::format("[{}]", fmt::join(elements, ", ")), comment);
  }
  void table(std::string_view name, std::string_view comment,
             const std::function<void(Settings&)>& describe) override {
    heading(fmt::format("[{}]", full(name)), comment, lead_);
    Printer inner(out_, full(name), !lead_.empty());
    describe(inner);
  }
  void check(const Status&) override {}  // what is printed may be an example

 private:
  void array(std::string_view name, std::string_view comment, std::size_t count,
             const Array& entries) override {
    for (std::size_t i = 0; i < std::max<std::size_t>(1, count); ++i) {
      const bool example = count == 0 || !lead_.empty();
      heading(fmt::format("[[{}]]", full(name)), i == 0 ? comment : "", example ? "# " : "");
      Printer inner(out_, full(name), example);
      entries.describe(i, inner);
    }
  }
  void heading(const std::string& text, std::string_view comment, std::string_view lead) {
    out_ += '\n';
    comments(comment);
    out_ += fmt::format("{}{}\n", lead, text);
  }
  void comments(std::string_view comment) {
    while (!comment.empty()) {
      const std::size_t end = std::min(comment.find('\n'), comment.size());
      out_ += fmt::format("# {}\n", comment.substr(0, end));
      comment.remove_prefix(std::min(end + 1, comment.size()));
    }
  }
  void line(std::string_view name, const std::string& value, std::string_view comment) {
    comments(comment);
    out_ += fmt::format("{}{} = {}\n", lead_, name, value);
  }
  std::string full(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }
  static std::string quoted(const std::string& value) {
    std::string out = "\"";
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else if (byte < 0x20 || byte == 0x7f) {
        out += fmt::format("\\u{:04x}", byte);
      } else {
        out += c;
      }
    }
    return out + '"';
  }

  std::string& out_;
  const std::string path_;
  const std::string lead_;
};

}  // namespace

Status read_settings(std::string_view text, std::string_view file_name, const Describe& describe) {
  const toml::parse_result parsed = toml::parse(text);
  Reading reading{file_name, std::nullopt};
  if (!parsed) {
    reading.fail(parsed.error().source(), std::string(parsed.error().description()));
  } else {
    Reader reader(reading, parsed.table(), "");
    describe(reader);
    reader.finish();
  }
  if (reading.error) return tl::unexpected<Error>(*reading.error);
  return {};
}

std::string print_settings(const Describe& describe) {
  std::string out;
  Printer printer(out, "", false);
  describe(printer);
  return out;
}

std::string_view nearest(std::string_view name, const std::vector<std::string_view>& names) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const std::string_view other : names) {
    std::vector<std::vector<std::size_t>> d(name.size() + 1,
                                            std::vector<std::size_t>(other.size() + 1));
    for (std::size_t i = 0; i <= name.size(); ++i) {
      for (std::size_t j = 0; j <= other.size(); ++j) {
        if (i == 0 || j == 0) {
          d[i][j] = i + j;
          continue;
        }
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1,
                            d[i - 1][j - 1] + (name[i - 1] == other[j - 1] ? 0 : 1)});
        if (i > 1 && j > 1 && name[i - 1] == other[j - 2] && name[i - 2] == other[j - 1])
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
    if (d[name.size()][other.size()] < best_distance) {
      best_distance = d[name.size()][other.size()];
      best = other;
    }
  }
  return best;
}

}  // namespace hearth
