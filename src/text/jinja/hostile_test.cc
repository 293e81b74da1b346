// Templates and variables made to hurt: each must end quickly, with an error or a small result.
#include <gtest/gtest.h>

#include <chrono>

#include "text/jinja/template.h"

namespace hearth::text::jinja {
namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

// The error's code, or the text.
std::string outcome(std::string_view source, const OrderedJson& variables = OrderedJson::object(),
                    const Budget& budget = {}) {
  const auto parsed = parse(source, budget);
  if (!parsed) return parsed.error().code;
  const auto pieces = (*parsed)->render(variables, {}, budget);
  if (!pieces) return pieces.error().code;
  std::string out;
  for (const TextPiece& piece : *pieces) out += piece.text;
  return out;
}

TEST(JinjaHostile, NoWayToInternals) {
  const OrderedJson variables = {{"m", {{"a", 1}}}, {"l", {1}}};
  for (const std::string source : {"{{ ''.__class__.__mro__ }}",
                                   "{{ ''['__class__']['__mro__'] }}",
                                   "{{ ().__class__.__base__.__subclasses__() }}",
                                   "{{ m.__init__.__globals__ }}",
                                   "{{ range.__globals__.os }}",
                                   "{{ (''|attr('__class__')).__mro__ }}",
                                   "{{ [''] | map(attribute='__class__.__mro__') | list }}",
                                   "{{ '{0.__class__.__mro__}'.format('') }}",
                                   "{{ namespace.__init__.__globals__ }}",
                                   "{% macro f() %}{% endmacro %}{{ f.__globals__.x }}",
                                   "{{ cycler.__init__.__globals__ }}",
                                   "{{ self.__init__.__globals__ }}",
                                   "{{ config.items() }}",
                                   "{{ l.append(1) }}",
                                   "{{ m.update({'b': 2}) }}",
                                   "{{ m.pop('a') }}",
                                   "{{ m.__setitem__('a', 2) }}",
                                   "{{ raise_exception.__class__.__mro__ }}",
                                   "{{ strftime_now.__self__.__class__ }}",
                                   "{{ loop.__class__.__mro__ }}"}) {
    EXPECT_EQ(outcome(source, variables), "template_error") << source;
  }
  EXPECT_EQ(outcome("{% import 'os' as os %}"), "template_syntax");
  EXPECT_EQ(outcome("{% include '/etc/passwd' %}"), "template_syntax");
  EXPECT_EQ(outcome("{% extends 'x' %}"), "template_syntax");
}

TEST(JinjaHostile, BudgetsEndLoops) {
  for (const std::string source :
       {"{% for i in range(1000000000) %}{% endfor %}",
        "{{ range(10 ** 9) | list }}",
        "{{ range(-9223372036854775807, 9223372036854775807, 2) }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(2000) %}{% for b in range(2000) %}x{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}"
        "{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}"
        "{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ ('x' * 100000) * 100000 }}",
        "{{ [0] * 1000000000 }}",
        "{{ ('a' * 9999) | replace('a', 'b' * 99999) }}",
        "{{ ('a' * 9999) | replace('', 'b' * 99999) }}",
        "{{ ('b' * 99999).join('a' * 9999) }}",
        "{{ range(9999) | join('b' * 99999) }}",
        "{{ 'a' | center(100000000) }}",
        "{{ 'a'.ljust(100000000) }}",
        "{{ 'a'.zfill(100000000) }}",
        "{{ '%100000000s' % 'a' }}",
        "{{ '%.100000000f' % 1 }}",
        "{{ '{:100000000}'.format(1) }}",
        "{{ 'a\nb' | indent(100000000) }}",
        "{{ [1] | tojson(indent=100000000) }}",
        "{{ [1] | batch(1000000000, 0) | list }}",
        "{{ ('ab' * 50000) | list | sort | unique | list | join | replace('a', 'b' * 99999) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% macro f() %}{{ caller() }}{{ g() }}{% endmacro %}{% macro g() %}{% call f() %}{% "
        "endcall %}"
        "{% endmacro %}{{ g() }}",
        "{% macro f(x=f()) %}{% endmacro %}{{ f() }}"}) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(outcome(source), "template_budget") << source;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << source;
  }
}

TEST(JinjaHostile, NumbersStayInBounds) {
  for (const std::string source :
       {"{{ 10 ** 1000000000 }}", "{{ 9 ** 9 ** 9 }}", "{{ 9223372036854775807 + 1 }}",
        "{{ -9223372036854775807 - 2 }}", "{{ 9223372036854775807 * 2 }}",
        "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}",
        "{{ (-9223372036854775807 - 1) | abs }}", "{{ 1e300 | int }}", "{{ 1e300 | round | int }}",
        "{{ 'x'[::0] }}", "{{ 10.0 ** 400 }}", "{{ '%d' % 1e300 }}",
        "{{ 1 | round(999999, 'ceil') }}", "{{ '%.999f' % 1 }}"}) {
    EXPECT_EQ(outcome(source), "template_error") << source;
  }
  EXPECT_EQ(outcome("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_EQ(outcome("{{ 'abc'[-9223372036854775807:9223372036854775807] }}"), "abc");
  EXPECT_EQ(outcome("{{ 'abc'[::-9223372036854775807 - 1] }}"), "c");
  EXPECT_EQ(outcome("{{ 'abc'[::9223372036854775807] }}"), "a");
  EXPECT_EQ(outcome("{{ [1, 2][9223372036854775807] }}{{ 'a'[-9223372036854775807] }}"), "");
  EXPECT_EQ(outcome("{{ range(-9223372036854775807, 9223372036854775807, 9223372036854775807)"
                    " | length }}"),
            "2");
  EXPECT_EQ(outcome("{{ 1 ** 9223372036854775807 }}{{ (-1) ** 9223372036854775807 }}"), "1-1");
  EXPECT_EQ(outcome("{{ 'abc'.find('c', -9223372036854775807, 9223372036854775807) }}"), "2");
}

TEST(JinjaHostile, DeepSourceIsRefused) {
  constexpr std::size_t kDeep = 60'000;
  for (const std::string_view open :
       {"(", "[", "{'a':", "-", "+", "not ", "f(", "a[", "'a' if b else ", "x|f(", "x is t(", "(1,",
        "[1,", "{(", "- - ", "not not ", "a(b=", "a[:"}) {
    EXPECT_EQ(outcome("{{ " + repeated(open, kDeep)), "template_syntax") << open;
  }
  for (const std::string_view open :
       {"{% if a %}", "{% for a in b %}", "{% set a %}", "{% macro m() %}", "{% call m() %}",
        "{% filter upper %}", "{% with %}", "{% generation %}", "{% if a %}{% else %}", "{% for (",
        "{% set ("}) {
    EXPECT_EQ(outcome(repeated(open, kDeep)), "template_syntax") << open;
  }
  EXPECT_EQ(outcome("{{ " + repeated("(", kDeep) + repeated(")", kDeep) + " }}"),
            "template_syntax");
}

TEST(JinjaHostile, LongSourceIsNotDeep) {
  EXPECT_EQ(outcome("{{ 1" + repeated("+1", 50'000) + " }}"), "50001");
  EXPECT_EQ(outcome("{{ 1" + repeated(" and 1", 20'000) + " }}"), "1");
  EXPECT_EQ(outcome("{{ 0" + repeated(" or 0", 20'000) + " }}"), "0");
  EXPECT_EQ(outcome("{{ 1" + repeated(" == 1", 20'000) + " }}"), "True");
  EXPECT_EQ(outcome("{{ '' " + repeated("~'a'", 1000) + " }}"), std::string(1000, 'a'));
  EXPECT_EQ(outcome("{{ 'a'" + repeated("|upper", 20'000) + " }}"), "A");
  EXPECT_EQ(outcome("{{ a" + repeated(".b", 20'000) + " }}"), "template_error");
  EXPECT_EQ(outcome("{{ a" + repeated("()", 20'000) + " }}"), "template_error");
  EXPECT_EQ(outcome("{% if 0 %}" + repeated("{% elif 0 %}", 20'000) + "{% endif %}x"), "x");
  EXPECT_EQ(outcome(repeated("{{ 1 }}", 20'000)).size(), 20'000U);
  EXPECT_EQ(outcome("{{ " + repeated("1,", 300'000) + " }}"), "template_syntax");
  EXPECT_EQ(outcome(std::string((1 << 20) + 1, 'a')), "template_syntax");
  EXPECT_EQ(outcome(std::string(1 << 20, '{')), "template_syntax");
  EXPECT_EQ(outcome(repeated("{%raw%}{%", 100'000)), "template_syntax");
}

TEST(JinjaHostile, DeepValuesAreRefused) {
  OrderedJson deep = OrderedJson::array();
  for (int i = 0; i < 100; ++i) deep = OrderedJson::array({deep});
  EXPECT_EQ(outcome("{{ x }}", {{"x", deep}}), "template_budget");
  EXPECT_EQ(outcome("ok", {{"x", deep}}), "ok");  // never touched

  const std::string build =
      "{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}";
  EXPECT_EQ(outcome(build + "{{ ns.x }}"), "template_budget");
  EXPECT_EQ(outcome(build + "{{ ns.x | tojson }}"), "template_budget");
  EXPECT_EQ(outcome(build + "{{ ns.x == [ns.x] }}"), "template_budget");
  EXPECT_EQ(outcome(build + "{{ ns.x in [[ns.x]] }}"), "template_budget");
  EXPECT_EQ(outcome(build + "{{ ns.x < [ns.x] }}"), "template_budget");
  const std::string tuples =
      "{% set ns = namespace(x=()) %}{% for i in range(5000) %}{% set ns.x = ({(ns.x, ): 1}, ) %}"
      "{% endfor %}";
  EXPECT_EQ(outcome(tuples + "{{ ns.x }}"), "template_error");  // a dict is no part of a key
  EXPECT_EQ(outcome("{% set ns = namespace(x=()) %}{% for i in range(5000) %}"
                    "{% set ns.x = (ns.x, ) %}{% endfor %}{{ {ns.x: 1} }}"),
            "template_error");
  EXPECT_EQ(outcome("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}"), "template_budget");
  EXPECT_EQ(outcome("{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns == ns.me[0] }}"),
            "True");
}

TEST(JinjaHostile, DeepCallsWithinTheBudgetWork) {
  EXPECT_EQ(outcome("{% macro f(n) %}{% if n %}{% for i in [1] %}{{ n ~ f(n - 1) }}{% endfor %}"
                    "{% endif %}{% endmacro %}{{ f(20) }}"),
            "2019181716151413121110987654321");
}

TEST(JinjaHostile, ManyTrustMarksAreCounted) {
  const OrderedJson variables = {{"u", std::string(1000, 'u')}};
  EXPECT_EQ(outcome("{% set ns = namespace(s='') %}{% for c in u %}{% set ns.s = ns.s ~ c ~ 'x' %}"
                    "{% endfor %}{{ (ns.s * 9999) | length }}",
                    variables),
            "template_budget");
}

TEST(JinjaHostile, SmallBudgetsHold) {
  Budget budget;
  budget.output_bytes_max = 100;
  EXPECT_EQ(outcome(std::string(101, 'a'), OrderedJson::object(), budget), "template_budget");
  EXPECT_EQ(outcome("{{ 'ab' * 30 }}", OrderedJson::object(), budget), "template_budget");
  budget = {};
  budget.steps_max = 50;
  EXPECT_EQ(outcome("{% for i in range(20) %}{{ i }}{% endfor %}", OrderedJson::object(), budget),
            "template_budget");
  EXPECT_EQ(outcome("{{ x }}", {{"x", OrderedJson(std::vector<int>(100))}}, budget),
            "template_budget");
  budget = {};
  budget.source_bytes_max = 3;
  EXPECT_EQ(outcome("abcd", OrderedJson::object(), budget), "template_syntax");
}

TEST(JinjaHostile, SlowSearchesAreLinear) {
  // The worst case of naive search: everything matches but the last byte.
  const std::string hay(4 << 20, 'a');
  const std::string needle = std::string(2 << 20, 'a') + "b";
  const OrderedJson variables = {{"hay", hay}, {"needle", needle}};
  for (const std::string source :
       {"{{ needle in hay }}", "{{ hay.find(needle) }}", "{{ hay.count(needle) }}",
        "{{ hay.rfind(needle) }}", "{{ hay.split(needle) | length }}",
        "{{ hay.rsplit(needle) | length }}", "{{ hay.replace(needle, '') | length }}",
        "{{ hay.rpartition(needle) | length }}"}) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_NE(outcome(source, variables), "");
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << source;
  }
}

TEST(JinjaHostile, NotAnObject) { EXPECT_EQ(outcome("x", OrderedJson::array()), "template_error"); }

}  // namespace
}  // namespace hearth::text::jinja
