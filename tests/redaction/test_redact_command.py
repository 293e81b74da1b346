"""`hearth redact` as people use it."""

import json
import random
import subprocess
import threading

import pytest

TEXT = "手机13812345678，邮箱a.b@example.com，单号123456789012。\n"
MASKED = "手机[REDACTED]，邮箱[REDACTED]，单号123456789012。\n"


@pytest.fixture
def redact(hearth):
    def run(text, *options, status=0):
        data = text if isinstance(text, bytes) else text.encode()
        done = subprocess.run([hearth, "redact", *options], input=data, capture_output=True)
        assert done.returncode == status, done.stderr.decode()
        return done

    return run


def test_masks_what_comes_in(redact):
    assert redact(TEXT).stdout.decode() == MASKED
    assert redact("").stdout == b""


def test_bytes_that_are_no_text_pass(redact):
    data = bytes(range(256)) * 40
    assert redact(data).stdout == data


def test_json_tells_places_by_bytes(redact):
    document = json.loads(redact(TEXT, "--json").stdout)
    data = TEXT.encode()
    assert [m["type"] for m in document["matches"]] == ["phone", "email"]
    assert [data[m["begin"] : m["end"]].decode() for m in document["matches"]] == [
        "13812345678",
        "a.b@example.com",
    ]
    assert document["counts"] == {"email": 1, "phone": 1}
    assert document["blocked"] is False
    assert json.loads(redact("", "--json").stdout)["matches"] == []


def test_long_input_in_small_pieces_is_filtered_alike(hearth):
    rng = random.Random(7)
    parts = ["13812345678", " ", "，", "请看", "word ", "a@b.cn", "4111 1111 1111 1111", "\n", "99"]
    data = "".join(rng.choice(parts) for _ in range(200_000)).encode()
    whole = subprocess.run([hearth, "redact"], input=data, capture_output=True, check=True).stdout
    with subprocess.Popen(
        [hearth, "redact"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        def feed():
            at = 0
            while at < len(data):
                step = rng.randrange(1, 4000)
                process.stdin.write(data[at : at + step])
                process.stdin.flush()
                at += step
            process.stdin.close()

        feeder = threading.Thread(target=feed)
        feeder.start()
        pieces = process.stdout.read()
        feeder.join()
    assert pieces == whole
    assert whole.count(b"[REDACTED]") > 10_000


def test_a_line_comes_out_before_the_next_goes_in(hearth):
    with subprocess.Popen(
        [hearth, "redact"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        for _ in range(3):
            process.stdin.write(TEXT.encode())
            process.stdin.flush()
            assert process.stdout.readline().decode() == MASKED
        process.stdin.close()


def test_strict_digits_hides_whole_runs(redact):
    numbers = ["1" * n for n in range(1, 40)]
    shown = redact("\n".join(numbers), "--strict-digits").stdout.decode().split("\n")
    for number, line in zip(numbers, shown, strict=True):
        hidden = len(number) == 11 or len(number) >= 16
        assert line == ("[REDACTED]" if hidden else number)


def test_actions(redact):
    assert redact(TEXT, "--phone", "off").stdout.decode().startswith("手机13812345678，邮箱[R")
    assert redact(TEXT, "--phone", "log", "--email", "log").stdout.decode() == TEXT
    blocked = redact(TEXT, "--email", "block", status=1)
    assert blocked.stdout.decode() == "手机[REDACTED]，邮箱"
    assert b"example" not in blocked.stderr
    redact(TEXT, "--phone", "hide", status=2)


CONFIG = """
[redaction]
email = "off"
words = ["Falke", "绝密"]
[[redaction.patterns]]
name = "project"
regex = "PRJ-[0-9]{4}"
bytes_max = 8
"""


def test_the_configuration_of_a_server(redact, tmp_path):
    path = tmp_path / "hearth.toml"
    path.write_text(CONFIG)
    out = redact(TEXT + "falke 绝密 PRJ-1234", "--config", str(path)).stdout.decode()
    assert out == (
        "手机[REDACTED]，邮箱a.b@example.com，单号123456789012。\n[REDACTED] [REDACTED] [REDACTED]"
    )
    out = redact("a@b.cn", "--config", str(path), "--email", "mask").stdout.decode()
    assert out == "[REDACTED]"


def test_a_bad_pattern_is_refused_with_its_place(redact, tmp_path):
    path = tmp_path / "hearth.toml"
    path.write_text(CONFIG.replace("PRJ-[0-9]{4}", "PRJ-[9-0]"))
    error = redact("", "--config", str(path), status=1).stderr.decode()
    assert "hearth.toml:5" in error and "project" in error and "character 6" in error, error
