"""The checks of tools/ hold for the repository, and each of them fails on bad input."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import check_banned  # noqa: E402
import check_layers  # noqa: E402
import sum_results  # noqa: E402

LAYERS = "0 base\n1 text base\n1 crypto base\n2 net base text\n2 store base\n"


def test_the_repository_has_no_banned_text():
    assert check_banned.check(ROOT) == []


def test_the_repository_keeps_its_layers():
    assert check_layers.check(ROOT) == []


@pytest.mark.parametrize(
    "rule, line",
    [
        ("unbounded string function", "strcpy(a, b);"),
        ("unbounded string function", "std::sprintf (a, f);"),
        ("unbounded string function", "char* t = strtok(a, b);"),
        ("number parsing", "int x = std::atoi(text);"),
        ("number parsing", "double x = atof(text);"),
        ("shell", "std::system(command.c_str());"),
        ("shell", 'FILE* f = popen("ls", "r");'),
        ("rand", "int r = rand();"),
        ("using namespace std", "using namespace std;"),
        ("std::regex", "std::regex r(text);"),
        ("std::regex", "#include <regex>"),
        ("reinterpret_cast", "auto p = reinterpret_cast<char*>(q);"),
        ("naked new", "auto* p = new Thing(1);"),
        ("naked new", "auto* p = new char[10];"),
        ("naked delete", "delete p;"),
        ("naked delete", "delete[] p;"),
        ("catch (...)", "} catch (...) {\n}"),
        ("unfinished work", "// TO" + "DO: later"),
        ("unfinished work", "int x;  // FIX" + "ME"),
        ("path of one machine", 'const char* p = "/home/' + 'someone/x";'),
        ("tab", "\tint x;"),
    ],
)
def test_banned_text_is_found(rule, line):
    errors = check_banned.check_text(line + "\n", "src/text/x.cc")
    assert len(errors) == 1 and rule in errors[0], errors
    assert errors[0].startswith("src/text/x.cc:1: ")


@pytest.mark.parametrize(
    "line",
    [
        "node.innerHTML = text;",
        "node.outerHTML += text;",
        'node.insertAdjacentHTML("beforeend", text);',
        'node["innerHTML"] = text;',
    ],
)
def test_text_never_becomes_html_in_the_page(line):
    errors = check_banned.check_text(line + "\n", "web/x.js")
    assert len(errors) == 1 and errors[0] == "web/x.js:1: text as HTML"
    assert check_banned.check_text(line + "\n", "tests/console/x.py") == []


@pytest.mark.parametrize(
    "line",
    [
        "// strcpy() would be wrong here",
        'const char* text = "rand()";',
        "const Clock& clock = Clock::system();",
        "Thing(const Thing&) = delete;",
        "void operator delete(void* p);",
        "std::unique_ptr<Thing> p(new Thing(1));",
        "return std::shared_ptr<Thing>(\n    new Thing(1));",
        "} catch (...) {  // the callback's errors are its own",
        "int brand(int renewed);",
        "using namespace std::chrono_literals;",
        "int n = 1'000'000 + strand(2);",
    ],
)
def test_what_only_looks_alike_is_not(line):
    assert check_banned.check_text(line + "\n", "src/text/x.cc") == []


def test_exceptions_hold_for_their_folder_only():
    line = "auto p = reinterpret_cast<char*>(q);\n"
    assert check_banned.check_text(line, "src/kernels/cpu/x.cc") == []
    assert check_banned.check_text(line, "src/text/x.cc") != []


def test_long_files_are_found():
    assert check_banned.check_text("int x;\n" * 600, "src/text/x.cc") == []
    assert check_banned.check_text("int x;\n" * 601, "src/text/x.cc") != []


def tree(tmp_path, layers, files):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "layers.txt").write_text(layers)
    for name, text in files.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return check_layers.check(tmp_path)


def test_allowed_includes_pass(tmp_path):
    assert (
        tree(
            tmp_path,
            LAYERS,
            {
                "base/a.h": "#include <vector>\n",
                "net/a.cc": '#include <boost/beast.hpp>\n#include "base/a.h"\n#include "net/b.h"\n',
                "net/a_test.cc": '#include "testing/x.h"\n',
                "crypto/a.cc": "#include <openssl/evp.h>\n",
                "main.cc": '#include "net/b.h"\n',
            },
        )
        == []
    )


@pytest.mark.parametrize(
    "name, line",
    [
        ("base/a.h", '#include "text/a.h"'),
        ("text/a.cc", '#include "crypto/a.h"'),
        ("net/a.cc", '#include "store/a.h"'),
        ("net/a.h", "#include <boost/beast.hpp>"),
        ("text/a.cc", "#include <boost/asio.hpp>"),
        ("text/a.cc", "#  include <openssl/evp.h>"),
        ("store/a.cc", "#include <sodium.h>"),
        ("store/a.cc", "#include <curl/curl.h>"),
        ("net/a.cc", "#include <zlib.h>"),
        ("text/a.cc", "#include <prometheus/counter.h>"),
        ("net/a.cc", '#include "testing/a.h"'),
        ("net/a.cc", '#include "a.h"'),
        ("unknown/a.cc", "#include <vector>"),
    ],
)
def test_wrong_includes_are_found(tmp_path, name, line):
    errors = tree(tmp_path, LAYERS, {name: line + "\n"})
    assert len(errors) == 1, errors


@pytest.mark.parametrize("layers", ["0 base\n0 text base\n", "0 base text\n1 text\n"])
def test_a_cycle_in_the_layers_is_found(tmp_path, layers):
    (tmp_path / "src").mkdir()
    assert len(tree(tmp_path, layers, {})) == 1


def junit(folder, name, cases):
    body = "".join(f"<testcase name='{i}' {case}</testcase>" for i, case in enumerate(cases))
    (folder / name).write_text(f"<testsuites><testsuite>{body}</testsuite></testsuites>")


def test_results_are_summed(tmp_path):
    junit(tmp_path, "hearth_base_test.xml", ["status='run' result='completed'>"] * 3)
    junit(tmp_path, "pytest.xml", [">", "><skipped/>", "><failure/>", "><error/>"])
    assert sum_results.sum_folder(tmp_path) == {"passed": 4, "failed": 2, "skipped": 1}


def test_a_program_that_died_counts_as_failed(tmp_path):
    junit(tmp_path, "hearth_base_test.xml", ["status='run' result='completed'>"])
    (tmp_path / "ctest.junit").write_text(
        "<testsuite><testcase name='base' status='run'/><testcase name='net' status='fail'/>"
        "</testsuite>"
    )
    assert sum_results.sum_folder(tmp_path) == {"passed": 1, "failed": 1, "skipped": 0}


def test_nothing_run_is_a_failure(tmp_path, capsys):
    assert sum_results.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == "0 passed, 0 failed, 0 skipped\n"
