"""Small templates, rendered with the variables called "small"."""

EXPRESSIONS = r"""
1 + 2 * 3
(1 + 2) * 3
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
7 / 2
6 / 3
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
7.5 // 2
-7.5 % 2
7.5 % -2
0.1 + 0.2
1e3
1_000
0x1f
0b101
0o17
1.5e-3
1e16
1e15
123456789012345680.0
1e22
5e-324
0.0001
0.00001
100000.0
-0.0
big
tiny
f
1 / 0
1 // 0
1 % 0
1.0 / 0
0 ** -1
10.0 ** 400
1e308 * 10
'a' + 'b'
'a' + 1
1 + 'a'
'a' ~ 1 ~ none ~ true ~ 2.0
'ab' * 3
3 * 'ab'
'ab' * -1
[1, 2] * 2
[1] + [2]
(1,) + (2,)
[1] + (2,)
true + 1
true + true
-true
+5
- -5
not true
not not empty
-'a'
1 == 1.0
1 == true
'1' == 1
[1, 2] == [1, 2]
[1, 2] == (1, 2)
{'a': 1} == {'a': 1.0}
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
none == none
missing == missing
missing == none
missing != 1
1 < 2 < 3
1 < 2 > 3
3 > 2 >= 2 != 1
'a' < 'b'
'B' < 'a'
[1, 2] < [1, 3]
[1] < [1, 0]
1 < 'a'
none < 1
missing < 1
1.5 > 1
'a' in 'abc'
'' in ''
'x' not in 'abc'
1 in [1, 2]
1.0 in [1, 2]
'a' in {'a': 1}
'role' in messages[0]
1 in 'abc'
'a' in none
'a' in missing
[1] in {'a': 1}
none in [none]
yes and name
no and name
no or name
empty or nothing or 'last'
yes and no or name
not no and yes
not name == 'Ada'
'a' if yes else 'b'
'a' if no else 'b'
'a' if no
('a' if no) is defined
'a' if no else 'b' if no else 'c'
1 if yes if yes
name
missing
missing.attribute
missing['x']
missing()
missing + 1
missing ~ 'x'
-missing
nothing.x
nothing['x']
n.x
n['x']
n[0]
nothing
yes
nested.a.b[2].c
nested['a']['b'][-1]['c']
nested.a.b.0
nested.a.b.2.c
nested.a.b[5]
nested.a.b[-9]
nested.zzz
nested['x y']
nested['items']
nested.items()
nested.keys()
nested.values()
nested['keys']()
nested.keys() | list
nested.a.items() | list
nested | length
nested.items() | length
nested.items()[0]
nested.get('a')
nested.get('zz')
nested.get('zz', 5)
nested.get(key='a')
nested.get()
nested.get([1])
nested.update({'q': 1})
nested.pop('a')
nested.update
nested.copy()
nums.append(4)
nums.pop()
nums.append
nums.sort()
nums.index(2)
nums.index(99)
nums.count(1)
(1, 2, 1).count(1)
name[0]
name[-1]
name[10]
name[1:]
name[:-1]
name[::-1]
name[::2]
name[5:1]
name[-100:100]
uni[0:8]
uni[::-1]
uni[-1]
uni[7:9]
nums[1:]
nums[::-1]
nums[-2:]
nums[:]
nums[::0]
nums[none:2]
nums['a':]
nums[1:2, 3]
nums[1.0]
nums[true]
range(5)[1:3]
range(10)[::3]
(1, 2, 3)[1:]
nested[1:]
nothing[1:]
missing[1:]
'abc'.upper()
'abc' 'def'
'it\'s "q"'
"tab\there"
'\x41\u00e9\U0001f600\101\0'|length
'\q\d'
'a\
b'
"\u4e16界"
''
'a' 'b' ~ 'c'
()
(1,)
(1, 2)
1, 2
[]
[1, 2,]
[[], [[]]]
{}
{'a': 1, 'b': [1, {'c': none}]}
{1: 'a', 2.5: 'b', none: 'c', true: 'd', (1, 2): 'e'}
{1: 'a', 1.0: 'b', true: 'c'}
{'a': 1, 'a': 2}
{[1]: 2}
{'a': 1}['a']
{'a': 1}.a
{1: 'one'}[1]
{(1, 2): 'x'}[(1, 2)]
['it\'s', 'say "x"', 'both \' and "', 'nl\n\t\\', '\x07\x7f\xa0é世\u200b🌍']
mixed
[1.0, 1e100, 1e-7, true, none]
people[0]
uni
[uni]
text | trim
text | trim | length
'xxhixx' | trim('x')
name | upper
name | lower
'hELLO wORLD' | capitalize
'hello big-world (foo) [bar] o\'neil x_y' | title
'straße éa' | upper
'ÀÉ' | lower
nothing | upper
n | upper
missing | upper
nums | join
nums | join(', ')
nums | join('-', none)
people | join(', ', attribute='name')
'abc' | join('.')
nested | join(',')
missing | join(',')
n | join
[1, none, missing, 2.5] | join('|')
words | join(d='+')
'hello' | replace('l', 'L')
'hello' | replace('l', 'L', 1)
'hello' | replace('', '-')
'hello' | replace('z', 'y')
n | replace('7', '8')
'aaa' | replace('aa', 'b')
nested | tojson
mixed | tojson
uni | tojson
'"\\/\b\f\n\r\t\x01\x7f\u2028<>&\'' | tojson
uni | tojson(ensure_ascii=true)
'🌍é' | tojson(true)
nested | tojson(indent=2)
nested | tojson(indent=0)
nested | tojson(indent='--')
nested | tojson(indent=-1)
[] | tojson(indent=2)
{} | tojson(indent=2)
[[], {}, [1]] | tojson(indent=1)
nested | tojson(separators=(',', ':'))
nested | tojson(indent=1, separators=(' ,', ' :'))
nested | tojson(sort_keys=true)
{2: 1, 1.5: 2, none: 3, false: 4} | tojson
{(1, 2): 3} | tojson
(1, 2) | tojson
missing | tojson
range(3) | tojson
nested.items() | tojson
(nums | map('string')) | tojson
nothing | tojson
1e400 | tojson
big | tojson
1.0 | tojson
nested.get | tojson
missing | default('x')
missing | default
missing | d(5)
nothing | default('x')
nothing | default('x', true)
empty | d('x', boolean=true)
0 | default('x', true)
name | default('x')
missing | default(default_value='q')
nums | first
[] | first
[] | first | default('none')
name | first
nested | first
missing | first
nums | last
[] | last
name | last
nested | last
(nums | map('string')) | last
missing | last
(nums | map('string')) | first
n | first
nums | list
name | list
nested | list
n | list
missing | list
nums | length
name | count
uni | length
n | length
nothing | length
missing | length
range(4) | length
(nums | map('string')) | length
nums | map('string') | list
words | map('upper') | join(' ')
words | map('replace', 'p', 'P') | list
people | map(attribute='name') | list
people | map(attribute='tags.0') | list
people | map(attribute='tags.0', default='-') | list
people | map(attribute='zzz') | list
people | map(attribute='zzz', default='d') | list
people | map('first') | list
nums | map('nosuchfilter') | list
nums | map() | list
nums | map(foo='x') | list
nums | select('odd') | list
nums | select('greaterthan', 1) | list
mixed | select | list
mixed | reject('none') | list
mixed | select('string') | list
nums | reject('eq', 2) | list
nums | select('nosuchtest') | list
people | selectattr('age', 'equalto', 30) | map(attribute='name') | list
people | selectattr('tags') | map(attribute='name') | list
people | rejectattr('tags') | map(attribute='name') | list
people | selectattr('tags', 'defined') | list | length
people | rejectattr('age', 'lt', 30) | list | length
people | selectattr('name', 'in', ['Bob', 'Cy']) | list | length
people | selectattr | list
messages | selectattr('role', '==', 'user') | list
(messages | selectattr('role', '==', 'zzz')) and 'truthy'
nested | items | list
missing | items | list
nums | items | list
{'b': 1, 'A': 2, 'c': 0} | dictsort
{'b': 1, 'A': 2, 'c': 0} | dictsort(true)
{'b': 1, 'A': 2, 'c': 0} | dictsort(by='value')
{'b': 1, 'A': 2, 'c': 0} | dictsort(false, 'value', true)
{'b': 1} | dictsort(by='zzz')
nums | dictsort
nums | sort
nums | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
words | sort(true, true)
people | sort(attribute='age') | map(attribute='name') | list
people | sort(attribute='age,name') | map(attribute='name') | list
people | sort(attribute='name', reverse=true) | map(attribute='name') | list
mixed | sort
[missing, 1] | sort
nested | sort
'hello' | sort
nums | reverse | list
'hello' | reverse
nested | reverse | list
n | reverse
words | unique | list
words | unique(case_sensitive=true) | list
people | unique(attribute='age') | map(attribute='name') | list
[1, 1.0, true, 2] | unique | list
[[1]] | unique | list
nums | sum
people | sum(attribute='age')
[0.1, 0.2, 0.3] | sum
nums | sum(start=10)
words | sum
[] | sum
nums | min
nums | max
words | min
words | max(case_sensitive=true)
[] | min
people | max(attribute='age')
mixed | max
nums | batch(2) | list
nums | batch(2, 'x') | list
'42' | int
' 42 ' | int
'4_2' | int
'4__2' | int
'-42' | int
'+42' | int
'abc' | int
'abc' | int(5)
'3.9' | int
'1e3' | int
'' | int
'0x1f' | int(base=16)
'ff' | int(0, 16)
'0x1f' | int
2.9 | int
-2.9 | int
none | int
missing | int
true | int
[] | int
'inf' | int
'nan' | int(3)
'2.5' | float
'abc' | float
'abc' | float(1.5)
'inf' | float
'-inf' | float
'nan' | float
'1e400' | float
'1e-400' | float
' 1_0.5 ' | float
7 | float
none | float
n | string
nested | string
nothing | string
missing | string
-5 | abs
(-5) | abs
(-2.5) | abs
'a' | abs
true | abs
2.5 | round
3.5 | round
2.675 | round(2)
42.55 | round
42.55 | round(1, 'floor')
42.55 | round(1, 'ceil')
42.55 | round(method='ceil')
42 | round
42 | round(method='floor')
1234.5 | round(-2)
1234 | round(-2)
'a' | round
2.5 | round(method='zzz')
-0.4 | round
lines | indent
lines | indent(2, true)
lines | indent(2, blank=true)
lines | indent(width='>> ', first=true)
'a\r\nb\rc\x0bd' | indent(1)
'' | indent(3, true)
'a\n' | indent
'a\r' | indent
missing | indent
html | escape
html | e | length
nothing | e
html | safe
'hello brave_new  world, ok' | wordcount
'%s is %d, %5.2f%% %r' | format(name, 3.9, 2.5, 'q')
'%(a)s-%(b)05d' | format(a=1, b=-42)
'%s' | format
'%s %s' | format(1)
'%d' | format('x')
'%-5s|%5s|%05d|%+d|% d|%x|%X|%o' | format('ab', 'cd', 42, 5, 6, 255, 255, 8)
'%.2s|%e|%g|%i' | format('abcdef', 12345.678, 0.00001234, 7)
'%q' | format(1)
'%' | format(1)
'%s' % 'x'
'%s-%s' % (1, 2)
'%s' % [1, 2]
'%(k)s' % {'k': 'v'}
'%(z)s' % {'k': 'v'}
'no args' % 'x'
'no args' % {}
'no args' % ()
'100%%' % ()
'%s' % ('a', 'b')
'%s' % none
'hi' | center(10)
'hi' | nosuchfilter
'hi' | upper('x')
'hi' | replace('h')
'hi' | trim(nochars='x')
'hi' | upper | lower | title | length
people[0] | attr('name')
'  x '.strip()
'  x '.lstrip()
'  x '.rstrip()
'xxaxx'.strip('x')
'abcba'.strip('ab')
'xyzabc'.lstrip('zyx')
'éaé'.strip('é')
'\u3000 x\xa0\x85'.strip()
' '.strip(none)
'x'.strip(1)
'a,b,c'.split(',')
'a,b,c'.split(',', 1)
'a,b,c'.split(',', maxsplit=1)
'a,b,c'.split(sep=',')
'a,b,c'.rsplit(',', 1)
'aXXbXXc'.split('XX')[-1]
'aaa'.split('aa')
'aaa'.rsplit('aa')
' a  b c '.split()
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
' a  b c '.split(none, 0)
' a  b c '.rsplit(none, 0)
'   '.split()
''.split()
''.split(',')
'abc'.split('')
'a\u3000b\xa0c'.split()
'a\nb\r\nc\rd\x0be\u2028f\n\n'.splitlines()
'a\nb\n'.splitlines(true)
''.splitlines()
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('-')
'abc'.rpartition('-')
'hello'.startswith('he')
'hello'.startswith(('x', 'he'))
'hello'.startswith(['he'])
'hello'.startswith('l', 2)
'hello'.startswith('', 9)
'hello'.endswith('lo')
'hello'.endswith(('x', 'lo'))
'hello'.endswith('l', 0, 4)
'hello'.startswith(none)
'hello'.find('l')
'hello'.find('z')
'hello'.find('l', 3)
'hello'.rfind('l')
'hello'.find('')
'hello'.rfind('')
'hello'.find('l', -1)
'世界人'.find('人')
'hello'.index('l')
'hello'.index('z')
'hello'.rindex('l')
'hello'.count('l')
'hello'.count('')
'aaaa'.count('aa')
'hello'.replace('l', 'L')
'hello'.replace('l', 'L', 1)
'hello'.replace('', '.')
''.replace('', 'x')
'hello'.replace('l')
'hello'.replace('l', 1)
'abc'.upper() ~ 'ABC'.lower()
'hello world'.title()
"they're bill's".title()
'hELLO'.capitalize()
'Hello'.swapcase()
', '.join(words)
', '.join(nums)
'-'.join('abc')
'-'.join(missing)
'ab'.removeprefix('a')
'ab'.removesuffix('b')
'ab'.removeprefix('z')
'5'.zfill(3)
'-5'.zfill(4)
'ab'.ljust(5) ~ '|'
'ab'.rjust(5, '*')
'ab'.center(5, '*')
'abc'.center(6, '*')
'12'.isdigit()
'1a'.isalnum()
''.isdigit()
'ab'.isalpha()
' \t'.isspace()
'AB1'.isupper()
'ab1'.islower()
'1'.islower()
'{} and {}'.format(1, 'b')
'{1}{0}'.format('a', 'b')
'{x}-{y}'.format(x=1, y=none)
'{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:x}'.format('a', 'b', 'c', 42, 3.14159, 255)
'{{}} {!r}'.format('q')
'{'.format(1)
'}'.format(1)
'{}'.format()
'{x}'.format()
'{:*^7}'.format('ab')
'{}'.format(nested)
name.nosuchmethod()
name.nosuchmethod
name() 
''.__class__
''.__class__.__mro__
''.__class__.__mro__[1].__subclasses__()
''['__class__']
[].__class__.__base__
().__class__
{}.__class__
nested.__class__
range.__globals__
namespace.__init__
messages.__class__.__name__
''.__add__('x')
range(3)
range(3) | list
range(1, 10, 3) | list
range(5, 0, -2) | list
range(0)
range(1, 10, 3)
range()
range(1.5)
range('a')
range(0, 5, 0)
range(100000) | length
range(100001) | length
range(1000000000) | length
2 in range(3)
range(3) == range(3)
dict(a=1, b='x')
dict({'a': 1}, b=2)
dict([('a', 1), ['b', 2]])
dict(nested.a)
dict(1)
namespace(a=1).a
namespace(a=1).b
namespace({'a': 1}).a
namespace(a=1)['a']
raise_exception('bad')
raise_exception()
raise_exception(name)
strftime_now('%Y-%m-%d %H:%M:%S')
strftime_now('%d %b %Y, %A %B %-d %j %y %I %p %a %%')
strftime_now('%F %T %D %R %w %u %e')
strftime_now is defined
strftime_now()
strftime_now(5)
1 is defined
missing is defined
missing is not defined
missing is undefined
nested.zz is defined
missing.x is defined
nothing is none
nothing is not none
none is defined
name is string
n is string
n is number
f is number
yes is number
yes is integer
n is integer
f is float
f is integer
yes is boolean
n is boolean
yes is true
1 is true
no is false
nested is mapping
nums is mapping
nums is iterable
name is iterable
n is iterable
nothing is iterable
missing is iterable
nums is sequence
name is sequence
nested is sequence
n is sequence
missing is sequence
nested.items() is sequence
range(3) is sequence
(nums | map('string')) is iterable
(nums | map('string')) is sequence
3 is odd
4 is even
-3 is odd
'a' is odd
2.5 is even
9 is divisibleby 3
9 is divisibleby(2)
9 is divisibleby(0)
1 is eq 1
1 is equalto 2
1 is ne 2
1 is lt 2
2 is gt 1
2 is ge 2
1 is le 0
1 is sameas 1
none is sameas none
1 is sameas true
yes is sameas true
2 is in [1, 2]
'a' is in 'abc'
'a' is not in 'xyz'
range is callable
name is callable
missing is callable
nested.get is callable
'ABC' is upper
'abc' is lower
'aBC' is lower
n is upper
'upper' is filter
'nosuch' is filter
'odd' is test
name is nosuchtest
name is string is string
name is string and n is number
name is string or missing.x
not name is string
(name is string) == true
name is not string
n is divisibleby 7 and yes
name is defined if yes else 'x'
1 if missing is defined else 2
nums | length > 2
nums | length - 1
nums | length * 2 ~ 'x'
(nums | first) + 1
name | length == 3 and yes
-n | abs
-nums[0]
not nums
nums == [3, 1, 2]
messages | length % 2 == 0
messages[-1].role != 'assistant'
messages[-1]['content'].split('U')[1] | int + 1
messages | map(attribute='content') | join
messages[1:] | map(attribute='role') | list
messages[::2] | length
(messages | last).content
'a' ~ ('b' if yes else 'c') ~ 'd'
[1, 2, 3][1]
[x for x in nums]
lambda: 1
1 +
(1
[1
{'a'
{'a': }
a b
1 2
'a' 5
)
]
x = 5
nums[
name.
name.5
name|
name is
is defined
not
and 1
1 and
$
a ? b
a; b
'unclosed
"also \"
1 <> 2
1 === 1
!true
a && b
{{ 1 }}
01
1__0
1.
.5
1.e5
nums(1)
'x'()
range(3)()
nested.get('a').b[0]
nested.a.get('b', [])[1]
namespace(a=[1]).a[0]
dict(a=dict(b=1)).a.b
(1, 2) | join
[name, n] | map('string') | map('length') | list
people | map(attribute='name') | map('lower') | sort | join(',')
'abc'[1]|upper
('abc' ~ 'd')[1:]|upper
words|sort|first
'a' < 'b' == true
1 < 2 == true
2 > 1 in [1]
not 1 in [2]
1 in [1] in [[1]]
none|string ~ ''
'%s' % missing
'%s' % (missing,)
'%d' % missing
loop
loop.index
caller
varargs
true.x
True and False
None
TRUE
null
none.x.y
"a" "b"|upper
{'a': {'b': {'c': 1}}}.a.b.c
{'get': 1}['get']
{'items': 1}.items()|list
nested.a.b|map('string')|list
1|string|length
1.0|string|length
[1,2,3]|select('gt',1)|map('string')|join('+')
range(3)|map('string')|join
'ß'|upper
'ß'|length
'a'|string is string
5|default(1)|default(2)
*nums
**nested
range(*[1, 3])|list
dict(**{'a': 1})
range(*5)
dict(**5)
'{}{}'.format(*[1, 2])
'a'.join(['b'], 'c')
nested.get(*['zz', 9])
range(3, step=2)
range(10)[2:8:2]
range(10)[::-1]
range(5, 0, -1)[1:]
(range(5)[1:3])|list
(nums|map('string'))[1:]
none|indent
5|indent
people|map(attribute='tags.0.x', default='-')|list
loop.index is defined
nums|join(attribute='x')
none|map('upper')|list
0|select|list
none|selectattr('x')|list
5|map('upper')|list
[none, none]|sort
[missing, missing]|sort|length
[none, 1]|sort
nums|sort(attribute='x')|length
nums|indent
(1 if yes else 2|round.x)
1|round.x
'x' % missing
range(4).count(2)
range(4).copy
{'a': 1}|first
{'b': 1}|list|first
[[1, 2], [3]]|sum(start=[])
['a']|sum(start='')
words|select('in', 'pear fig')|list
words|select('upper')|list
[[1, 2], [0, 5]]|sort
[(1, 'b'), (1, 'a')]|sort
[true, 0, 2.5]|sort
[true, 0, 2.5]|max
'%s %s' % ('a', [1])
'%5s|%-5s|%05.1f' % ('é', '世', 2.25)
'%s' % (('a', 'b'),)
'%%' % ()
'%d%%' % 5
'%.3s' % 'abcdef'
'%r' % 'a\'b'
'{:5}|{:<5}|{:>5}'.format(42, 42, 'x')
'{:d}'.format('x')
'{:s}'.format(5)
'{:.1f}'.format(2)
'{:5.1f}|'.format(2.25)
'{0}{1}{0}'.format('a', 'b')
'{}{0}'.format('a')
'{:é>4}'.format('x')
1.5|string ~ 2|string
100000000000000000000.0
123456.789e3
1e-5
3.0
-1.5e-10
5 // 0.3
-5 % 0.3
5.5 // -2
-0.0 // 1
1e308 * 10 - 1e308 * 10
7.0 % 2
2 ** 0.5
2.0 ** 3
0 ** 0
9 ** 0.5
-7 // 2.0
10 // 3 * 3 + 10 % 3
'abc' is in 'xabcx'
name is sameas name
1.0 is integer
1.0 is sameas 1
nums is sameas nums
'x' is eq('x')
3 is ge(3) and 2 is lessthan 3
nums[0]|string + 'x'
nums[0] ~ nums[1] * 2
(nums[0] ~ nums[1]) * 2
-nums|first
not name is defined
'A' 'B' | lower
'a,b;c'.split(',')[1].split(';')|last
messages|map(attribute='role')|list|tojson
messages|tojson|length
{'z': 1, 'a': {'y': [], 'x': {}}}|tojson(indent=3, sort_keys=true)
[none, true, 1.5, 'x']|tojson(indent=none)
'<script>&amp;'|tojson
[1, [2, [3]]]|tojson(separators=(',', ':'), indent=1)
{'k': range(2)|list}|tojson
{'k': missing}|tojson
1e16|tojson
0.1|tojson
-0.0|tojson
(1e308 * 10)|tojson
html|replace('<', '[')|replace('>', ']')
lines.splitlines()|length
lines.split('\n')
lines|trim|indent(3, first=true)
text.strip().split(' ')
'a b'|title|replace(' ', '')
uni|title
uni|upper
uni|lower|capitalize
uni|wordcount
uni|tojson|length
uni|reverse
uni|first
uni|list|length
uni.split(', ')
uni.find('世')
uni.upper().lower()
'ΑΒΓ'|lower
'i̇'|length
'a' * 3 ~ '-' * 2
nums|sort|reverse|list|first
nums|sort(reverse=true)|join('>')
{'b': {'x': 2}, 'a': {'x': 1}}|dictsort|first
{'b': 2, 'a': 1}.items()|sort|list
{'b': 2, 'a': 1}|items|sort(attribute=1)|list
{'b': 2, 'a': 1}.items()|map(attribute=0)|join
{'b': 2, 'a': 1}.values()|sum
{'b': 2, 'a': 1}.keys()|sort
'b' in {'b': 2}.keys()
2 in {'b': 2}.values()
('b', 2) in {'b': 2}.items()
{'b': 2}.keys()[0]
[] is sequence and {} is mapping and () is iterable
[1, 2, 3] | batch(2) | map('join', '-') | list
[1, 2, 3] | map('int') | sum
['1', 'x'] | map('int', 9) | list
['a', 'b'] | map('upper') | map('replace', 'A', 'x') | join
people | map('tojson') | join(';')
people | groupless
people | selectattr('age') | list | length
people | rejectattr('age', 'none') | map(attribute='age') | max
people | map(attribute='name') | select('ne', 'al') | list
people | selectattr('name', 'equalto', 'Bob') | first
(people | selectattr('name', 'equalto', 'Zed') | first) is defined
(people | selectattr('name', 'equalto', 'Zed') | list) == []
(people | selectattr('name', 'equalto', 'Zed') | first).age
""".strip("\n").split("\n")

BLOCKS = [
    # White space control.
    "a\n{% if yes %}\nb\n{% endif %}\nc\n",
    "a\n  {% if yes %}  \n  b\n  {% endif %}\nc",
    "a\n  {%+ if yes %}b{% endif %}\nc",
    "a\n  {%- if yes -%}\n  b  \n  {%- endif -%}\n  c",
    "a {%- if yes %} b {% endif -%} c",
    "x  {{- name -}}  y",
    "x  {{ name -}}  y",
    "x  {{- name }}  y",
    "  {{ name }}\n",
    "\t {{ name }}",
    "{% if yes +%}\nb{% endif %}",
    "{% if yes %}\n\nb{% endif %}",
    "{% if yes -%}\n\n  b{% endif %}",
    "{# comment #}\nx",
    "  {# comment #}  \nx",
    "a {#- comment -#} b",
    "a\n  {#+ comment +#}\nb",
    "{#-#}x",
    "{# unclosed",
    "x {#",
    "x {#\n",
    "x {#-",
    "x {# ",
    "{# {{ name }} {% if %} #}ok",
    "{% raw %}{{ x }}{% endraw %}",
    "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb",
    "a {%- raw -%}  {% if %}  {%- endraw -%}  b",
    "{% raw %}never closed",
    "{%raw%}x{%endraw%}y",
    "{% raw x %}",
    "\n\n",
    "\n",
    "",
    "a\r\nb\rc\n",
    "a\r\n{% if yes %}\r\nb{% endif %}\r\n",
    "x\n\n",
    "{{ name }}\n",
    "{{+ n }}",
    "{{-n}}",
    "{{ - n }}",
    "{{ {'a': {'b': 1}}['a']['b'] }}",
    "{{ {'a': 1}}}",
    "{% set x = {'a': '%}'} %}{{ x.a }}",
    "{{ '}}' }}{{ \"{{\" }}",
    "{{ '{% if %}' }}",
    "{ { name } } {% if yes %}{{% endif %}",
    "{",
    "{{",
    "{%",
    "{{ }}",
    "{%%}",
    "{% %}",
    "}} %} #}",
    "a{{ name }}b{{ n }}c",
    "{{ name }}{# c #}{{ name }}",
    "  {% set x = 1 %}  {{ x }}",
    "a  {% set x = 1 %}  {{ x }}",
    "\u3000{%- if yes %}x{% endif %}",
    "x \u00a0 {{- name }}",
    "line\n\t{% for i in nums %}\n\t{{ i }}\n\t{% endfor %}\nend",
    "{% for i in nums %}{{ i }}\n{% endfor %}end",
    "{{ name }} \n {% if yes %} \n {{ n }} \n {% endif %} \n ",
    # if
    "{% if yes %}A{% endif %}",
    "{% if no %}A{% elif yes %}B{% else %}C{% endif %}",
    "{% if no %}A{% elif no %}B{% else %}C{% endif %}",
    "{% if no %}A{% elif no %}B{% endif %}",
    "{% if yes %}{% if no %}x{% else %}y{% endif %}{% endif %}",
    "{% if missing %}A{% else %}B{% endif %}",
    "{% if yes, no %}tuple{% endif %}",
    "{% if %}x{% endif %}",
    "{% if yes %}x",
    "{% if yes %}x{% endfor %}",
    "{% endif %}",
    "{% else %}",
    "{% if yes %}a{% else %}b{% elif no %}c{% endif %}",
    "{% if yes: %}a{% endif %}",
    "{% if 'x' in 'xyz' and not no %}a{% endif %}",
    "{% if no %}{{ 'x' | nosuchfilter }}{% endif %}ok",
    "{% if yes %}{{ 'x' | nosuchfilter }}{% endif %}ok",
    "{{ 'x' | nosuchfilter if no else 'ok' }}",
    # for
    "{% for x in nums %}{{ x }},{% endfor %}",
    "{% for x in [] %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in missing %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in nothing %}{{ x }}{% endfor %}",
    "{% for x in n %}{{ x }}{% endfor %}",
    "{% for c in uni %}[{{ c }}]{% endfor %}",
    "{% for k in nested %}{{ k }},{% endfor %}",
    "{% for k, v in nested.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in nested|items %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in nested|dictsort %}{{ k }};{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }},{% endfor %}",
    "{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in ['xy', 'zw'] %}{{ a }}-{{ b }},{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for a, b in [1] %}{{ a }}{% endfor %}",
    "{% for x, in [(1,)] %}{{ x }}{% endfor %}",
    "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "{% for x in nums if x > 1 %}{{ x }}{{ loop.index }}/{{ loop.length }} {% endfor %}",
    "{% for x in nums if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.first }}{{ loop.last }}{{ m.content }} {% endfor %}",
    "{% for x in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
    "{% for x in nums %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in nums %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for x in nums %}{{ loop.cycle('odd', 'even') }} {% endfor %}",
    "{% for x in nums %}{{ loop.cycle() }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in nums %}{{ loop.nosuch }}{{ loop['index'] }}{% endfor %}",
    "{% for x in nums %}{% for y in 'ab' %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }};{% endfor %}",
    "{% for x in nums %}{% set outer = loop %}{% for y in 'ab' %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for x in nums %}{% endfor %}{{ x }}",
    "{% for x in nums %}{% endfor %}{{ loop }}",
    "{% for name in nums %}{{ name }}{% endfor %}{{ name }}",
    "{% for x in nums %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in nums %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}never{% endfor %}",
    "{% for x in nums %}{% for y in nums %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endfor %}{{ x }}{% endfor %}",
    "{% for x in nums %}{% set y %}a{% if x == 1 %}{% break %}{% endif %}b{% endset %}{{ y }}{{ x }}{% endfor %}",
    "{% break %}",
    "{% continue %}",
    "{% for x in nums %}{% else %}{% break %}{% endfor %}",
    "{% for y in nums %}{% for x in [] %}{% else %}{% break %}{% endfor %}{{ y }}{% endfor %}!",
    "{% for x in nums %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for x in nums %}",
    "{% for x nums %}{% endfor %}",
    "{% for 1 in nums %}{% endfor %}",
    "{% for x.y in nums %}{% endfor %}",
    "{% for true in nums %}{% endfor %}",
    "{% for x in %}{% endfor %}",
    "{% for x in nums if %}{% endfor %}",
    "{% for x in nums if yes else [] %}{% endfor %}",
    "{% for x in (nums if yes else []) %}{{ x }}{% endfor %}",
    "{% for x in (nums if no else []) %}{{ x }}{% else %}E{% endfor %}",
    "{% for x in nums | sort %}{{ x }}{% endfor %}",
    "{% for x in nums[::-1] %}{{ x }}{% endfor %}",
    "{% for x in nums | reverse %}{{ x }}{{ loop.last }}{% endfor %}",
    "{% for i in range(nums | length) %}{{ nums[i] }}{% endfor %}",
    "{% for row in nums | batch(2) %}{{ row }}{% endfor %}",
    "{% for x in people | selectattr('age', 'ge', 30) %}{{ x.name }}{{ loop.length }}{% endfor %}",
    "{% for x in nums %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% set g = nums | map('string') %}{{ g | list }}{{ g | list }}",
    "{% set g = nums | map('string') %}{{ g | first }}{{ g | list }}",
    "{% set g = nums | map('string') %}{{ '1' in g }}{{ g | list }}",
    "{% set g = nums | reverse %}{{ g | list }}{{ g | list }}",
    # Scopes.
    "{% set x = 1 %}{{ x }}",
    "{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set x = 1 %}{% for i in nums %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "{% set x = 1 %}{% for i in nums %}{{ x }}{% set x = 5 %}{{ x }} {% endfor %}{{ x }}",
    "{% for i in nums %}{% if loop.first %}{% set y = i %}{% endif %}{{ y }}|{% endfor %}",
    "{% for i in nums %}{% set y = i %}{% endfor %}{{ y }}",
    "{% if no %}{% set q = 1 %}{% endif %}{{ q }}",
    "{% set x %}block {{ name }}{% endset %}{{ x }}",
    "{% set x | upper | trim %} block {{ name }} {% endset %}{{ x }}",
    "{% set x | replace('b', 'B') %}bob{% endset %}{{ x }}",
    "{% set x %}{% set y = 5 %}{{ y }}{% endset %}{{ x }}{{ y }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = nums %}{{ a }}",
    "{% set (a, b) = (1, 2) %}{{ b }}{{ a }}",
    "{% set a, b, c = nums %}{{ c }}{{ b }}{{ a }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set a = %}",
    "{% set = 5 %}",
    "{% set 5 = 5 %}",
    "{% set none = 5 %}",
    "{% set x.y = 5 %}",
    "{% set name.y = 5 %}",
    "{% set nested.y = 5 %}",
    "{% set nums[0] = 5 %}",
    "{% set x",
    "{% set ns = namespace(x=1) %}{% for i in nums %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns.b = ns.a + 1 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}",
    "{% set ns = namespace(found=false) %}{% for m in messages %}{% if m.role == 'assistant' %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}",
    "{% set ns = namespace(x=1) %}{% set ns.x %}block{% endset %}{{ ns.x }}",
    "{% set ns = namespace(x=[]) %}{% for i in nums %}{% set ns.x = ns.x + [i] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=1) %}{{ ns }}",
    "{% set ns = namespace(x=1) %}{{ ns.x.y }}|{{ ns.q is defined }}",
    "{% set namespace = 5 %}{{ namespace }}",
    "{% set range = 5 %}{{ range }}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z }}",
    "{% with a = 1, b = a %}{{ b }}{% endwith %}",
    "{% set a = 3 %}{% with a = 1, b = a %}{{ b }}{% endwith %}",
    "{% filter upper %}abc {{ name }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}aXa{% endfilter %}",
    "{% filter nosuch %}x{% endfilter %}",
    "{% generation %}{{ name }}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}",
    "{% for x in nums %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% for x in nums %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "{% generation %}",
    # Macros.
    "{% macro m() %}hi{% endmacro %}{{ m() }}{{ m() | upper }}",
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='y') }}{{ m() }}{{ m(b=5, a=4) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}",
    "{% macro m(a, b) %}{% endmacro %}{{ m(1, 2, 3) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(b=1) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro m(a, a) %}{% endmacro %}",
    "{% macro m %}{% endmacro %}",
    "{% macro m() %}",
    "{% macro m() %}{{ varargs }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m() %}{{ kwargs }}{% endmacro %}{{ m(a=1) }}",
    "{% macro m(x) %}{{ x }}{{ varargs | length }}{{ kwargs | length }}{% endmacro %}{{ m(1, 2, z=3) }}",
    "{% macro m() %}{{ name }}{{ later }}{% endmacro %}{% set later = 'L' %}{{ m() }}",
    "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}",
    "{% macro m() %}{% set inner = 5 %}{{ inner }}{% endmacro %}{{ m() }}{{ inner }}",
    "{% macro fact(n) %}{% if n < 2 %}1{% else %}{{ n * (fact(n - 1) | int) }}{% endif %}{% endmacro %}{{ fact(6) }}",
    "{% macro tree(v) %}{% if v is mapping %}{{ '{' }}{% for k, x in v.items() %}{{ k }}:{{ tree(x) }}{% endfor %}{{ '}' }}{% elif v is iterable and v is not string %}[{% for x in v %}{{ tree(x) }}{% endfor %}]{% else %}{{ v }}{% endif %}{% endmacro %}{{ tree(nested) }}",
    "{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) m(5) %}{{ y }}{{ name }}{% endcall %}",
    "{% macro m() %}<{{ caller() }}{{ caller() }}>{% endmacro %}{% call m() %}x{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% call 5 %}{% endcall %}",
    "{% call name %}{% endcall %}",
    "{% for x in nums %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m() %}{{ m is callable }}{{ m is defined }}{% endmacro %}{{ m() }}",
    "{% if yes %}{% macro m() %}in if{% endmacro %}{% endif %}{{ m() }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro m(x) -%}\n  {{- x }}  \n{%- endmacro %}[{{ m(1) }}]",
    "{% macro m(x) %}\n  {{ x }}\n{% endmacro %}[{{ m(1) }}]",
    "{% macro m(x={'a': 1}, y=[1, 2]) %}{{ x.a }}{{ y[1] }}{% endmacro %}{{ m() }}",
    "{% macro m(x) %}{{ x | default('dflt') }}{% endmacro %}{{ m() }}{{ m(none) }}",
    "{% macro m() %}{% for x in nums %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}{% endmacro %}{{ m() }}",
    # Refused or unknown.
    "{% nosuchtag %}",
    "{% print name %}",
    "{% print name, n %}x",
    "{% print %}x",
    "{% do nums.append(1) %}",
    "{% set _ = nums.append(1) %}",
    "{{ name | nosuch }}",
    "{{ name is nosuch }}",
    "{{ raise_exception('no') }}",
    "{% if no %}{{ raise_exception('no') }}{% endif %}fine",
    "{% set x = raise_exception('no') if no else 1 %}{{ x }}",
    "{% if yes %}\n    {{ name }}\n{% endif %}\n",
    "{% for m in messages %}\n{{ m.role }}: {{ m.content }}\n{% endfor %}",
    "{% for m in messages -%}\n{{ m.role }}: {{ m.content }}\n{%- endfor %}",
    "{%- for m in messages -%}\n  {{- m.role -}}\n{%- endfor -%}",
    "{% set last = messages | last %}{{ last.content }}{% set last = none %}{{ last }}",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | last }}",
    "{% set roles = messages | map(attribute='role') | unique | list %}{{ roles }}",
    "{% if messages[0].role == 'system' %}{% set sys, rest = messages[0].content, messages[1:] %}{% endif %}{{ sys }}{{ rest | length }}",
    "{%- set ns = namespace(i=0) -%}{%- for m in messages -%}{%- if m['role'] == 'user' -%}{%- set ns.i = loop.index0 -%}{%- endif -%}{%- endfor -%}{{ ns.i }}",
    "{{ '<|' + name + '|>' }}{{ bos_token }}",
    "{% set d = {'user': 'U', 'assistant': 'A'} %}{% for m in messages %}{{ d[m.role] | default('?') }}{{ d.get(m.role, '-') }}{% endfor %}",
    "{{ name\n  | upper }}",
    "{{\nname\n}}",
    "{%\nif yes\n%}x{%\nendif\n%}",
    "{% if yes %}a{% endif %}\n\n{% if yes %}b{% endif %}\n",
    "{{ 'a' }}\n{{ 'b' }}\n\n{{ 'c' }}\n",
    "{{ 'a\\nb' }}\n",
    "{% set x = 'multi\nline' %}{{ x }}",
]

# Not here: what prints an address (functions, generators), and integers beyond 64 bits.
CASES = ["{{ " + e + " }}" for e in EXPRESSIONS] + BLOCKS
