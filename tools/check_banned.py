#!/usr/bin/env python3
"""What no file of the project may contain. An exception is one line in ALLOWED, with its reason."""

import pathlib
import re
import subprocess
import sys

LINES_MAX = 600
SOURCES = {".h", ".cc", ".inc", ".cu"}

# (name, pattern), for sources without comments and string contents
CODE_RULES = [
    (name, re.compile(pattern))
    for name, pattern in [
        ("unbounded string function", r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok)\s*\("),
        ("number parsing without errors", r"\b(atoi|atol|atoll|atof)\s*\("),
        ("shell", r"\b(system|popen)\s*\(\s*[^)\s]"),  # Clock::system() is another
        ("rand", r"\bs?rand\s*\("),
        ("using namespace std", r"\busing\s+namespace\s+std\s*;"),
        ("std::regex (exponential time)", r"\bstd::regex\b|#\s*include\s*<regex>"),
        ("reinterpret_cast", r"\breinterpret_cast\b"),
        ("naked delete", r"(?<!operator )\bdelete\b(?!\s*;)(\s*\[\s*\])?\s+[A-Za-z_(*]"),
    ]
]
NAKED_NEW = re.compile(r"(?<!operator )\bnew\b\s+[A-Za-z_:]")
# `std::unique_ptr<T> p(new T(...))`: private constructors need it
OWNED = re.compile(r"\b(unique|shared)_ptr<[^;{}]*\($")
SWALLOW = re.compile(r"\bcatch\s*\(\s*\.\.\.\s*\)")

# for every text file, comments included; spelt so that this file passes itself
TEXT_RULES = [
    ("unfinished work", re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + r"X)\b")),
    ("path of one machine", re.compile(r"(?<![\w.])/(work|home/\w+|Users/\w+)/[\w.]")),
]

# for the page, comments included: text becomes nodes, never markup
WEB_RULES = [
    ("text as HTML", re.compile(r"\b(innerHTML|outerHTML|insertAdjacentHTML)\b")),
]

# rule -> path prefixes where it does not hold
ALLOWED = {
    "reinterpret_cast": [
        # SIMD loads and stores take pointers to vector types; weights are bytes of a file.
        "bench/",
        "src/backend/",
        "src/formats/",
        "src/kernels/",
        "src/tensor/",
        # libraries that take text as unsigned char
        "fuzz/",
        "src/crypto/base64.cc",
        "src/model/config_test.cc",
        "src/text/jinja/marked.cc",
        "src/text/tokenizer/pretokenizer_test.cc",
        # socket addresses
        "src/base/sandbox_test.cc",
        "src/net/server.cc",
        "testing/loopback_client.cc",
    ],
}


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


STRING_OR_COMMENT = re.compile(
    r'R"(?P<mark>[^(]*)\(.*?\)(?P=mark)"'
    r'|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|' + r"(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.S,
)


def code_of(text):
    """The text with comments and strings blanked out; lines keep their numbers."""
    return STRING_OR_COMMENT.sub(blank, text)


def allowed(rule, path):
    return any(path.startswith(prefix) for prefix in ALLOWED.get(rule, []))


def check_new(code, path):
    errors = []
    for match in NAKED_NEW.finditer(code):
        before = " ".join(code[: match.start()][-200:].split())
        if not OWNED.search(before):
            number = code.count("\n", 0, match.start()) + 1
            errors.append(f"{path}:{number}: naked new")
    return errors


def check_swallow(lines, path):
    """`catch (...)` needs a comment on it, or on the line after, that says why."""
    errors = []
    for number, line in enumerate(lines, 1):
        if SWALLOW.search(line.split("//", 1)[0]):
            near = line + (lines[number] if number < len(lines) else "")
            if "//" not in near:
                errors.append(f"{path}:{number}: catch (...) without a comment that says why")
    return errors


def check_text(text, path):
    """Errors in one file; `path` is relative to the root, with slashes."""
    errors = []
    suffix = pathlib.PurePosixPath(path).suffix
    lines = text.splitlines()
    for rule, pattern in TEXT_RULES + (WEB_RULES if path.startswith("web/") else []):
        for number, line in enumerate(lines, 1):
            if pattern.search(line) and not allowed(rule, path):
                errors.append(f"{path}:{number}: {rule}")
    if suffix in SOURCES:
        code = code_of(text)
        errors += check_new(code, path)
        for number, line in enumerate(code.splitlines(), 1):
            for rule, pattern in CODE_RULES:
                if pattern.search(line) and not allowed(rule, path):
                    errors.append(f"{path}:{number}: {rule}")
        errors += check_swallow(lines, path)
    if suffix in SOURCES | {".py"}:
        if len(lines) > LINES_MAX:
            errors.append(f"{path}: {len(lines)} lines; split it by idea (at most {LINES_MAX})")
        for number, line in enumerate(lines, 1):
            if "\t" in line:
                errors.append(f"{path}:{number}: tab")
    return errors


def tracked_files(root):
    command = ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
    return [name for name in names if name]


def check(root):
    errors = []
    for name in tracked_files(root):
        path = pathlib.Path(root) / name
        if name.startswith(("tests/data/", "fuzz/corpus/")) or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            errors.append(f"{name}: not UTF-8 text")
            continue
        errors += check_text(text, name)
    return errors


if __name__ == "__main__":
    found = check(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    print("\n".join(found) if found else "banned: ok")
    sys.exit(1 if found else 0)
