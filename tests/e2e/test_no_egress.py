"""Nothing leaves: a server at work in a network namespace of its own, where the kernel counts what is begun."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from identities import Site

INSIDE = pathlib.Path(__file__).with_name("no_egress_inside.py")


def unshare():
    """The command that makes a namespace, if this machine lets us."""
    if not shutil.which("unshare"):
        return None
    for options in (["--net"], ["--net", "--map-root-user"]):
        if subprocess.run(["unshare", *options, "true"], capture_output=True).returncode == 0:
            return ["unshare", *options]
    return None


def test_a_server_opens_no_connection(hearth, model, tmp_path):
    namespace = unshare()
    if namespace is None:
        pytest.skip("needs the right to make a network namespace; src/base/sandbox_test.cc shows the same of the sandbox")
    site = Site(tmp_path)
    key = site.add("ops", "user", "model-admin")
    config = tmp_path / "hearth.toml"
    config.write_text(f'[[models]]\nmodel = "{model}"\ncache_mib = 64\n{site.toml()}')
    # A proxy in the environment is no way out either.
    environment = {**os.environ, "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "no_proxy": "*"}
    done = subprocess.run(
        [*namespace, sys.executable, str(INSIDE), hearth, str(config), str(tmp_path / "log"), key],
        capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
    told = json.loads(done.stdout)
    served, control = told["served"], told["control"]
    assert told["status"] == 0
    assert served["Tcp:ActiveOpens"] == served["Tcp:PassiveOpens"] > 5  # all begun by the client
    assert served["Tcp:AttemptFails"] == 0
    assert served["Udp:OutDatagrams"] == 0
    assert served["Ip:OutNoRoutes"] == 0
    # The counters see what they are to see.
    assert control["Tcp:AttemptFails"] == 1
    assert control["Udp:OutDatagrams"] == 1
    assert control["Ip:OutNoRoutes"] >= 1
