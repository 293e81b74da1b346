// Every case of tests/data/jinja/expected.json, which real Jinja2 made (see make.py there).
#include "text/jinja/template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace hearth::text::jinja {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

const OrderedJson& expected() {
  static const OrderedJson json =
      OrderedJson::parse(read_file(HEARTH_TEST_DATA "/jinja/expected.json"));
  return json;
}

Result<std::string> rendered(std::string_view source, const OrderedJson& variables) {
  HEARTH_TRY(const auto parsed, parse(source));
  HEARTH_TRY(const auto pieces, parsed->render(variables, {"bos_token", "eos_token"}));
  std::string out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_FALSE(pieces[i].text.empty());
    if (i > 0) {
      EXPECT_NE(pieces[i].trusted, pieces[i - 1].trusted);
    }
    out += pieces[i].text;
  }
  return out;
}

TEST(JinjaTemplate, RendersWhatJinja2Renders) {
  std::size_t outputs = 0;
  std::size_t errors = 0;
  for (const OrderedJson& test : expected()["cases"]) {
    const bool small = test.contains("template");
    const std::string source =
        small ? test["template"].get<std::string>()
              : read_file(HEARTH_TEST_DATA "/jinja/templates/" + test["file"].get<std::string>());
    const std::string set = test["variables"].get<std::string>();
    SCOPED_TRACE((small ? source : test["file"].get<std::string>()) + " with " + set);
    const Result<std::string> got = rendered(source, expected()["variables"][set]);
    if (test.contains("output")) {
      ++outputs;
      EXPECT_TRUE(got) << got.error().message;
      if (got) EXPECT_EQ(*got, test["output"].get<std::string>());
      continue;
    }
    ++errors;
    EXPECT_FALSE(got) << "Jinja2 says " << test["error"] << ", we render " << *got;
    if (got) continue;
    const std::string& code = got.error().code;
    EXPECT_TRUE(code == "template_syntax" || code == "template_error" || code == "template_budget")
        << code;
    EXPECT_EQ(got.error().message.find('\n'), std::string::npos);
  }
  EXPECT_GE(outputs, 1000U);
  EXPECT_GE(errors, 250U);
}

std::string error_of(std::string_view source,
                     const OrderedJson& variables = OrderedJson::object()) {
  const Result<std::string> got = rendered(source, variables);
  return got ? "no error" : got.error().code + ": " + got.error().message;
}

TEST(JinjaTemplate, SyntaxErrorsTellThePlace) {
  EXPECT_EQ(error_of("ab\n  {{ 1 + }}"),
            "template_syntax: expected an expression, got 'end of tag' (line 2, column 10)");
  EXPECT_EQ(error_of("{% if x %}\n{% endfor %}"),
            "template_syntax: unknown tag 'endfor' (line 2, column 4)");
  EXPECT_EQ(error_of("\n\n{# never closed"),
            "template_syntax: comment is not closed (line 3, column 1)");
  EXPECT_EQ(error_of("{% for x in y recursive %}{% endfor %}"),
            "template_syntax: recursive loops are not supported (line 1, column 15)");
  EXPECT_EQ(error_of("{% include 'x' %}"),
            "template_syntax: tag 'include' is not supported (line 1, column 4)");
  EXPECT_EQ(error_of("\xff"), "template_syntax: the template is not valid UTF-8");
}

TEST(JinjaTemplate, RuntimeErrorsTellThePlace) {
  EXPECT_EQ(error_of("a\n{{ x.y }}"), "template_error: 'x' is undefined (line 2, column 5)");
  EXPECT_EQ(error_of("{{ raise_exception('no ' ~ 1) }}"),
            "template_error: no 1 (line 1, column 19)");
  EXPECT_EQ(error_of("{% for m in messages %}\n{{ m.role + 1 }}\n{% endfor %}",
                     {{"messages", {{{"role", "user"}}}}}),
            "template_error: unsupported operand types for +: 'str' and 'int' (line 2, column 11)");
}

TEST(JinjaTemplate, ClockIsAVariable) {
  const auto parsed = parse("{{ strftime_now('%d %b %Y %H:%M') if strftime_now is defined }}");
  ASSERT_TRUE(parsed);
  for (const auto& [seconds, text] :
       std::vector<std::pair<std::int64_t, std::string>>{{0, "01 Jan 1970 00:00"},
                                                         {951'782'400, "29 Feb 2000 00:00"},
                                                         {-1, "31 Dec 1969 23:59"},
                                                         {4'102'444'799, "31 Dec 2099 23:59"}}) {
    const auto pieces = (*parsed)->render({{"strftime_now", seconds}}, {});
    ASSERT_TRUE(pieces) << pieces.error().message;
    ASSERT_EQ(pieces->size(), 1U);
    EXPECT_EQ((*pieces)[0].text, text);
    EXPECT_TRUE((*pieces)[0].trusted);
  }
  const auto without = (*parsed)->render(OrderedJson::object(), {});
  ASSERT_TRUE(without);
  EXPECT_TRUE(without->empty());
}

TEST(JinjaTemplate, RendersAgainAfterAnError) {
  const auto parsed = parse("{{ a + 1 }}");
  ASSERT_TRUE(parsed);
  EXPECT_FALSE((*parsed)->render({{"a", "x"}}, {}));
  const auto pieces = (*parsed)->render({{"a", 1}}, {});
  ASSERT_TRUE(pieces);
  EXPECT_EQ((*pieces)[0].text, "2");
}

// Where we refuse and Jinja2 does not; stated so that a change is seen.
TEST(JinjaTemplate, KnownDifferences) {
  EXPECT_EQ(error_of("{{ 9223372036854775807 + 1 }}"),
            "template_error: integer overflow (line 1, column 24)");
  EXPECT_EQ(error_of("{{ n }}", {{"n", 18446744073709551615U}}),
            "template_error: the number 18446744073709551615 is too large for a template");
  EXPECT_EQ(error_of("{{ '{0.x}'.format(1) }}"),
            "template_error: attributes in format fields are not supported (line 1, column 18)");
}

}  // namespace
}  // namespace hearth::text::jinja
