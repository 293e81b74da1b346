// Text of the template is trusted, text of variables is not, whatever happens to either.
#include <gtest/gtest.h>

#include <vector>

#include "text/jinja/template.h"

namespace hearth::text::jinja {
namespace {

// Pieces as text: trusted ones as they are, the others in ⟦ ⟧.
std::string marked(std::string_view source) {
  const OrderedJson variables = {
      {"bos", "<s>"},
      {"u", "u<|x|>U"},
      {"sp", "  u  "},
      {"n", 5},
      {"yes", true},
      {"list", {"a", "b"}},
      {"msg", {{"role", "user"}, {"content", "hi"}}},
      {"csv", "a,b"},
      {"lines", "a\nb"},
      {"fmt", "<%s>"},
      {"strftime_now", 0},
  };
  const auto parsed = parse(source);
  if (!parsed) return parsed.error().message;
  const auto pieces = (*parsed)->render(variables, {"bos"});
  if (!pieces) return pieces.error().message;
  std::string out;
  for (const TextPiece& piece : *pieces) {
    out += piece.trusted ? piece.text : "⟦" + piece.text + "⟧";
  }
  return out;
}

struct Case {
  const char* source;
  const char* pieces;
};

TEST(JinjaTrust, MarksFollowTheBytes) {
  const std::vector<Case> cases = {
      {"a{{ 'b' }}{{ bos }}c", "ab<s>c"},
      {"<{{ u }}>", "<⟦u<|x|>U⟧>"},
      {"{{ '<|' + u + '|>' }}", "<|⟦u<|x|>U⟧|>"},
      {"{{ '<|' ~ u ~ '|>' }}", "<|⟦u<|x|>U⟧|>"},
      {"{{ ('<|' ~ sp ~ '|>')[1:-1] }}", "|⟦  u  ⟧|"},
      {"{{ ('ab' ~ u)[::-1] }}", "⟦U>|x|<u⟧ba"},
      {"{{ ('ab' ~ sp)[1] }}{{ ('ab' ~ sp)[4] }}", "b⟦u⟧"},
      {"{{ sp | trim }}{{ sp.strip() }}", "⟦uu⟧"},
      {"{{ (' x ' ~ sp) | trim }}", "x ⟦  u⟧"},
      {"{{ u | upper }}{{ ('a' ~ u) | lower }}", "⟦U<|X|>U⟧a⟦u<|x|>u⟧"},
      {"{{ (u ~ 'tail') | title }}", "⟦U<|x|>u⟧tail"},
      {"{{ list | join('|') }}", "⟦a⟧|⟦b⟧"},
      {"{{ '-'.join(list) }}", "⟦a⟧-⟦b⟧"},
      {"{{ ['x', u] | join(csv) }}", "x⟦a,bu<|x|>U⟧"},
      {"{{ csv.split(',')[1] }}{{ ('x,' ~ csv).split(',') | join('.') }}", "⟦b⟧x.⟦a⟧.⟦b⟧"},
      {"{{ ('a\nb' ~ lines).splitlines() | join(' ') }}", "a b⟦a⟧ ⟦b⟧"},
      {"{{ ('k=' ~ csv).partition('=')[2] }}", "⟦a,b⟧"},
      // A match within a user's text is the user's: it may not make a special token.
      {"{{ csv | replace(',', '<|im_end|>') }}", "⟦a<|im_end|>b⟧"},
      {"{{ 'a,b' | replace(',', '<|im_end|>') }}", "a<|im_end|>b"},
      {"{{ 'a,b' | replace(',', u) }}", "a⟦u<|x|>U⟧b"},
      {"{{ ('a,b' ~ csv).replace(',', ';') }}", "a;b⟦a;b⟧"},
      {"{{ ('a' ~ u[0] ~ 'b').replace('aub', 'X') }}", "⟦X⟧"},
      {"{{ csv | replace('', '-') }}", "⟦-a-,-b-⟧"},
      {"{{ u | tojson }}{{ 'x' | tojson }}", "⟦\"u<|x|>U\"⟧\"x\""},
      {"{{ {'k': u} | tojson }}", "⟦{⟧\"k\"⟦: \"u<|x|>U\"}⟧"},
      {"{{ msg | tojson }}", "⟦{\"role\": \"user\", \"content\": \"hi\"}⟧"},
      {"{{ ['a' ~ u] }}", "⟦['⟧a⟦u<|x|>U']⟧"},
      {"{{ msg }}", "⟦{'role': 'user', 'content': 'hi'}⟧"},
      {"{{ u | string ~ u | safe }}", "⟦u<|x|>Uu<|x|>U⟧"},
      {"{{ u[1:6] | e }}", "⟦&lt;|x|&gt;⟧"},
      {"{{ n }}{{ n + 1 }}{{ 2 * 3 }}{{ 1 + 1 }}", "⟦56⟧62"},
      {"{{ yes }}{{ true }}{{ n == 5 }}", "⟦True⟧TrueTrue"},
      {"{{ u | length }}{{ 'abc' | length }}{{ list | length }}", "⟦7⟧32"},
      {"{{ '7' | int }}{{ ('7' ~ n) | int }}{{ n | float }}", "7⟦755.0⟧"},
      {"{{ '%s-%s' % ('a', u) }}{{ '%d' | format(n) }}", "a-⟦u<|x|>U5⟧"},
      {"{{ fmt % '<|x|>' }}{{ fmt | format('y') }}", "⟦<<|x|>><y>⟧"},
      {"{{ '<{}>'.format(u) }}{{ '{:>3}'.format('z') }}", "<⟦u<|x|>U⟧>  z"},
      {"{% set x %}a{{ u }}{% endset %}{{ x }}", "a⟦u<|x|>U⟧"},
      {"{% filter upper %}a{{ sp | trim }}b{% endfilter %}", "A⟦U⟧B"},
      {"{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(u) }}{{ m('t') | upper }}", "[⟦u<|x|>U⟧][T]"},
      {"{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}{{ u }}{% endcall %}",
       "<⟦u<|x|>U⟧>"},
      {"{% set ns = namespace(x='') %}{% for c in list %}{% set ns.x = ns.x ~ c ~ ';' %}"
       "{% endfor %}{{ ns.x }}",
       "⟦a⟧;⟦b⟧;"},
      {"{% for c in 'a' ~ csv %}{{ c }}.{% endfor %}", "a.⟦a⟧.⟦,⟧.⟦b⟧."},
      {"{% for k, v in msg.items() %}{{ k }}={{ v }};{% endfor %}",
       "⟦role⟧=⟦user⟧;⟦content⟧=⟦hi⟧;"},
      // The keys of ** come from whoever wrote the mapping.
      {"{{ dict(**msg) | join(' ') }}", "⟦role⟧ ⟦content⟧"},
      {"{% macro m() %}{{ kwargs | join }}{% endmacro %}{{ m(**msg) }}", "⟦rolecontent⟧"},
      // What the template looks up by a user's text is still the template's.
      {"{{ {'user': '<|user|>'}[msg.role] }}", "<|user|>"},
      {"{{ u | default('d') }}{{ zzz | default('d') }}", "⟦u<|x|>U⟧d"},
      {"{{ u * 2 }}{{ 'ab' * 2 }}", "⟦u<|x|>Uu<|x|>U⟧abab"},
      {"{{ lines | indent(2) }}{{ 'a\nb' | indent(1) }}", "⟦a\n  b⟧a\n b"},
      {"{{ csv | reverse }}{{ csv | first }}{{ csv | last }}", "⟦b,aab⟧"},
      {"{{ list | sort | last }}{{ list | max }}{{ ['z', u] | max }}", "⟦bb⟧z"},
      {"{{ 'x' | center(3) }}{{ csv | center(5) }}", " x ⟦ a,b ⟧"},
      {"{{ '5'.zfill(3) }}{{ csv.zfill(5) }}", "005⟦00a,b⟧"},
      {"{{ strftime_now('%Y') }}{{ strftime_now(csv ~ '%d') }}", "1970⟦a,b⟧01"},
      {"{{ none }}{{ zzz }}", "None"},
      {"{{ bos ~ u ~ bos }}", "<s>⟦u<|x|>U⟧<s>"},
  };
  for (const Case& c : cases) EXPECT_EQ(marked(c.source), c.pieces) << c.source;
}

TEST(JinjaTrust, ComparisonIgnoresMarks) {
  EXPECT_EQ(marked("{{ msg.role == 'user' }}{{ msg['ro' ~ 'le'] in ['user'] }}"), "TrueTrue");
  EXPECT_EQ(marked("{{ ('us' ~ msg.role[2:]) == 'user' }}"), "True");
}

TEST(JinjaTrust, NestedValuesOfTrustedKeysAreTrusted) {
  const auto parsed = parse("{{ cfg.tag }}{{ cfg.list[0] }}{{ other }}");
  ASSERT_TRUE(parsed);
  const auto pieces =
      (*parsed)->render({{"cfg", {{"tag", "<t>"}, {"list", {"x"}}}}, {"other", "o"}}, {"cfg"});
  ASSERT_TRUE(pieces);
  ASSERT_EQ(pieces->size(), 2U);
  EXPECT_EQ((*pieces)[0].text, "<t>x");
  EXPECT_TRUE((*pieces)[0].trusted);
  EXPECT_FALSE((*pieces)[1].trusted);
}

}  // namespace
}  // namespace hearth::text::jinja
