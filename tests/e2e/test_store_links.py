"""Row 34 of docs/faults.md in the real store: no symlink is followed, wherever it stands."""

import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import time

import pytest
import requests
from measure import threads, wait_idle
from serving import Server

PROMPT = {"prompt": "The capital of France is", "max_tokens": 16, "temperature": 0}


class Administered:
    """A server with a store of its own, and who may load models from there."""

    def __init__(self, hearth, path, home, folder):
        key = secrets.token_hex(32)
        # Whoever keeps an answer of `requests` keeps its connection, unless the server closes it.
        self.headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
        config = folder / "etc" / "hearth.toml"
        config.parent.mkdir()
        config.write_text(
            f'[[models]]\nmodel = "{path}"\nid = "first"\ncache_mib = 64\nctx = 512\n'
            f'[[keys]]\nname = "ops"\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
            'permissions = ["use-models", "read-metrics", "manage-models"]\n'
        )
        os.environ["HEARTH_HOME"] = str(home)
        try:
            self.server = Server(hearth, None, folder / "log", "--config", str(config))
        finally:
            del os.environ["HEARTH_HOME"]

    def call(self, method, path, document=None):
        return requests.request(
            method, self.server.url + path, json=document, headers=self.headers, timeout=120
        )

    def load(self, name):
        return self.call("POST", "/admin/models", {"model": name, "id": "second", "ctx": 256})

    def names(self):
        return [entry["id"] for entry in self.call("GET", "/v1/models").json()["data"]]

    def text(self):
        answer = self.call("POST", "/generate", PROMPT)
        assert answer.status_code == 200, answer.text
        return answer.json()["text"]

    def metric(self, series):
        lines = self.call("GET", "/metrics").text
        found = re.search(rf"^{re.escape(series)} (\S+)$", lines, re.MULTILINE)
        return float(found[1]) if found else 0

    def counts(self):
        asked = {
            "models": self.names(),
            "text": self.text(),
            "pages": self.metric('hearth_kv_pages_used{model_name="first"}'),
        }
        wait_idle(self.server, 10)
        return asked | {
            "descriptors": self.server.descriptors(),
            "threads": threads(self.server.process.pid),
        }

    def expect(self, wanted):
        deadline = time.monotonic() + 10  # a connection just closed may take a moment to be seen
        while (counts := self.counts()) != wanted and time.monotonic() < deadline:
            time.sleep(0.2)
        assert counts == wanted


@pytest.fixture
def stored(hearth, model):
    """The folder of a pulled model's version."""
    if "/" in model:
        pytest.skip("the model at hand is not in the store")
    shown = json.loads(subprocess.check_output([hearth, "show", model, "--json"]))
    return pathlib.Path(shown["path"])


def test_symlinks_in_the_store_are_refused(hearth, model, stored, tmp_path):
    version = stored.parent
    home = tmp_path / "home"
    elsewhere = home / "elsewhere"  # within what the server may read: it is not the sandbox that
    elsewhere.mkdir(parents=True)  # refuses
    copy = home / "models" / version.parent.name
    shutil.copytree(version.parent, copy)
    name = copy.name
    admin = Administered(hearth, stored, home, tmp_path)
    try:
        assert admin.load(name).status_code == 200  # as it should be
        assert admin.names() == ["first", "second"]
        assert admin.call("DELETE", "/admin/models/second").status_code == 200
        assert admin.load("no-such-model").status_code == 404
        before = admin.counts()
        assert before["models"] == ["first"]

        weights = copy / version.name / stored.name
        damaged = (500, "internal_error")
        for linked, by_name, by_version in (
            (copy, (404, "model_not_found"), damaged),
            (copy / version.name, damaged, damaged),
            (weights, damaged, damaged),
        ):
            moved = elsewhere / linked.name
            linked.rename(moved)
            linked.symlink_to(moved)
            assert (weights.stat().st_size, weights.read_bytes()[:4]) == (
                stored.stat().st_size,
                b"GGUF",
            )  # whoever follows it finds the model
            wanted = ((name, by_name), (f"{name}@{version.name}", by_version))
            for reference, (status, code) in wanted:
                series = f'hearth_errors_total{{code="{code}"}}'
                errors = admin.metric(series)
                refused = admin.load(reference)
                assert refused.status_code == status, (linked, refused.text)
                assert refused.json()["error"]["code"] == code
                assert str(elsewhere) not in refused.text
                assert admin.metric(series) == errors + 1
            admin.expect(before)
            linked.unlink()
            moved.rename(linked)

        assert admin.server.log.read_text().count("is damaged") == 5
        assert admin.load(name).status_code == 200  # and again as it should be
    finally:
        status = admin.server.stop()
    assert status == 0
