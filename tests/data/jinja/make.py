#!/usr/bin/env python3
"""Renders templates with real Jinja2, set up as transformers sets it up, into expected.json.

Usage: pip install jinja2==3.1.6; python make.py. Small cases are in cases.py, chat templates in
templates/, what they are rendered with in variables.py.
"""
import copy
import datetime
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

from cases import CASES
from variables import VARIABLES

HERE = pathlib.Path(__file__).parent


class Generation(jinja2.ext.Extension):
    """transformers' {% generation %}: the body, in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_support")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _support(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def make_env(variables):
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    if "strftime_now" in variables:
        zone = datetime.timezone.utc
        now = datetime.datetime.fromtimestamp(variables["strftime_now"], zone).replace(tzinfo=None)
        env.globals["strftime_now"] = now.strftime
    return env


def render(template, variables):
    # A copy: some filters change lists (`indent` adds to them before it fails).
    given = copy.deepcopy({k: v for k, v in variables.items() if k != "strftime_now"})
    try:
        return {"output": make_env(variables).from_string(template).render(**given)}
    except Exception as error:  # every kind of failure counts as one: that it fails is compared
        return {"error": f"{type(error).__name__}: {error}"[:200]}


def main():
    cases = []
    for template in CASES:
        cases.append({"template": template, "variables": "small"})
    for path in sorted((HERE / "templates").glob("*.jinja")):
        for name in VARIABLES:
            if name != "small":
                cases.append({"file": path.name, "variables": name})
    for case in cases:
        text = case.get("template")
        if text is None:
            text = (HERE / "templates" / case["file"]).read_bytes().decode()
        case.update(render(text, VARIABLES[case["variables"]]))
    out = {"jinja2": jinja2.__version__, "variables": VARIABLES, "cases": cases}
    text = json.dumps(out, ensure_ascii=False, indent=1)
    (HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
    errors = sum("error" in case for case in cases)
    print(f"{len(cases)} cases, {errors} of them errors")


if __name__ == "__main__":
    main()
