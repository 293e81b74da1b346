"""The audit log of a real server: who asked what, whatever happens to it."""

import json
import resource
import subprocess
import threading
import time

import audit_reader
import pytest
import requests
from identities import Site
from measure import metric

SHORT = {"prompt": "Once upon a time", "max_tokens": 4}


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Audited:
    """A server with keys and an audit log, and the commands that read it."""

    def __init__(self, hearth, model, start, tmp_path, more=""):
        self.hearth = hearth
        self.folder = tmp_path / "audit"
        self.site = Site(tmp_path / "keys")
        self.key = self.site.add("nurse", "user")
        self.ops = self.site.add("ops", "model-admin")
        self.text = (
            f"{self.site.toml()}\n[[models]]\nmodel = {json.dumps(model)}\n"
            f"[audit]\nfolder = {json.dumps(str(self.folder))}\n{more}"
        )
        self.start_again = lambda: start(self.text)
        self.server, _ = start(self.text)

    def ask(self, path="/generate", document=None, key=None, **options):
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return self.server.post(path, document or SHORT, headers=headers, **options)

    def run(self, verb, *options, status=0, folder=None):
        done = subprocess.run(
            [self.hearth, "audit", verb, str(folder or self.folder), *options],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stderr + done.stdout
        return done.stdout

    def verify(self, *options, status=0, folder=None):
        return json.loads(self.run("verify", "--json", *options, status=status, folder=folder))

    def rows(self, *options):
        return json.loads(self.run("query", "--json", *options))

    def last_file(self):
        return max(self.folder.glob("audit-*.jsonl"))


@pytest.fixture
def audited(hearth, model, configured, tmp_path):
    return Audited(hearth, model, configured, tmp_path)


def test_each_request_is_recorded_once(audited):
    names = []
    for document in (SHORT, SHORT | {"stream": True}, {"prompt": ""}, {"wrong": 1}):
        names.append(audited.ask(document=document).headers["X-Request-Id"])
    messages = {"messages": [{"role": "user", "content": "the secret is 4711"}], "max_tokens": 2}
    names.append(audited.ask("/v1/chat/completions", messages).headers["X-Request-Id"])
    assert audited.server.post("/generate", SHORT, headers={"Authorization": "Bearer x"}).ok is False
    assert audited.ask("/admin/models", {"model": "nothing"}, audited.ops).status_code == 404
    assert audited.server.stop() == 0

    summary = audited.verify("--signer", str(audited.folder / "signer.pub"))
    assert summary["valid"] and summary["since_installation"]
    assert summary["requests"] == summary["closed"] == len(names) + 1
    assert (summary["interrupted"], summary["open"], summary["unmatched"]) == (0, 0, 0)
    assert summary["refused"] == 1 and summary["unsigned_records"] == 0

    # Somebody else's reader agrees.
    records = audit_reader.read(audited.folder)
    assert len(records) == summary["records"]
    assert [r["request"] for r in records if r["kind"] == "opened"][: len(names)] == names
    opened = [r for r in records if r["kind"] == "opened"]
    closed = {r["opened"]: r for r in records if r["kind"] == "closed"}
    assert len(closed) == len(opened)
    first, streamed = opened[0], opened[1]
    assert first["identity"] == "nurse" and first["peer"] == "127.0.0.1"
    assert first["model"] and first["model_version"]
    assert closed[first["seq"]]["completion_tokens"] == 4
    assert closed[streamed["seq"]]["finish"] == ["length"]
    assert closed[opened[3]["seq"]]["status"] == 400
    everything = b"".join(p.read_bytes() for p in audited.folder.glob("audit-*"))
    assert b"4711" not in everything and b"Once upon" not in everything

    rows = audited.rows("--identity", "nurse", "--kind", "request")
    assert [row["result"] for row in rows] == ["ok", "ok", "refused", "refused", "ok"]
    assert len(audited.rows("--result", "refused")) == 4
    assert "IDENTITY" in audited.run("query")


def test_kill_9_under_load(audited):
    """Whoever was answered is in the log; the chain holds before and after a new start."""
    answered, lock = set(), threading.Lock()
    stop = threading.Event()

    def client():
        while not stop.is_set():
            try:
                response = audited.ask("/tokenize", {"prompt": "some words"})
            except requests.RequestException:
                return
            if response.status_code == 200:
                with lock:
                    answered.add(response.headers["X-Request-Id"])

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(answered) >= 1000, 120)
    audited.server.process.kill()
    audited.server.process.wait()
    stop.set()
    for thread in threads:
        thread.join()

    records = audit_reader.read(audited.folder)
    opened = {r["request"] for r in records if r["kind"] == "opened"}
    assert answered <= opened
    assert audited.verify()["records"] == len(records)
    before = {r["seq"] for r in records if r["kind"] == "opened"}
    before -= {r["opened"] for r in records if r["kind"] == "closed"}
    results = [row["result"] for row in audited.rows("--kind", "request")]
    assert results.count("interrupted") == len(before)

    server, _ = audited.start_again()
    assert server.stop() == 0
    summary = audited.verify()
    assert summary["starts"] == 2 and summary["interrupted"] == len(before)
    audit_reader.read(audited.folder)


def test_a_full_disk_stops_the_answers(audited):
    assert audited.ask().status_code == 200
    pid = audited.server.process.pid
    limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limit[1]))
    codes = [audited.ask(document=SHORT | {"stream": i % 2 == 0}) for i in range(10)]
    assert {response.status_code for response in codes} == {503}
    assert codes[-1].json()["error"]["code"] == "audit_unavailable"
    assert "Retry-After" in codes[-1].headers
    assert requests.get(audited.server.url + "/health", timeout=5).status_code == 200
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
    assert eventually(lambda: audited.ask().status_code == 200)
    assert audited.server.stop() == 0
    summary = audited.verify()
    assert summary["valid"] and summary["lost"] == 0
    assert summary["requests"] == summary["closed"]
    assert len(audited.rows("--result", "ok")) == 2
    audit_reader.read(audited.folder)


@pytest.mark.parametrize("nth", [5, 6, 9])
def test_one_of_two_disks_fails(hearth, model, configured, tmp_path, monkeypatch, nth):
    """Nobody notices, and the folder that missed something gets it afterwards."""
    monkeypatch.setenv("HEARTH_FAULT_POINTS", f"audit.write={nth}")
    second = tmp_path / "elsewhere"
    audited = Audited(
        hearth, model, configured, tmp_path, f"second_folder = {json.dumps(str(second))}\n"
    )
    for _ in range(8):
        assert audited.ask().status_code == 200
    assert metric(audited.server, "hearth_audit_failures_total") == 1
    assert audited.server.stop() == 0
    assert audited.verify("--second", str(second))["requests"] == 8
    assert audit_reader.read(audited.folder) == audit_reader.read(second)


def test_records_cut_from_the_end_show_in_the_second_folder(hearth, model, configured, tmp_path):
    second = tmp_path / "elsewhere"
    audited = Audited(
        hearth, model, configured, tmp_path, f"second_folder = {json.dumps(str(second))}\n"
    )
    assert audited.ask().status_code == 200
    assert audited.server.stop() == 0
    path = audited.last_file()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    assert audited.verify()["unsigned_records"] > 0
    assert audited.verify("--second", str(second), status=1)["code"] == "audit_mismatch"


def test_changes_show(audited):
    for _ in range(3):
        audited.ask()
    assert audited.server.stop() == 0
    path = audited.last_file()
    good = path.read_text()
    lines = good.splitlines(keepends=True)
    for i in range(len(lines)):
        for changed in (
            lines[:i] + [lines[i].replace('"2', '"3', 1)] + lines[i + 1 :],
            lines[:i] + [lines[i]] + lines[i:],
            lines[:i] + lines[i + 1 :] if i + 1 < len(lines) else None,
        ):
            if changed is None:
                continue
            path.write_text("".join(changed))
            problem = audited.verify(status=1)
            assert not problem["valid"] and problem["code"] == "audit_damaged"
            with pytest.raises(audit_reader.Damaged):
                audit_reader.read(audited.folder)
    path.write_text(good)
    other = audited.folder.parent / "other.pub"
    subprocess.run(
        f"openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out {other}",
        shell=True,
        check=True,
    )
    assert "another key" in audited.verify("--signer", str(other), status=1)["error"]
    # A server does not go on behind a broken chain.
    path.write_text("".join(lines[:1] + lines[2:]))
    with pytest.raises(AssertionError, match="audit"):
        audited.start_again()


def test_an_export_proves_itself(audited):
    for _ in range(3):
        audited.ask()
    assert audited.server.stop() == 0
    records = audit_reader.read(audited.folder)
    out = audited.folder.parent / "export"
    since = records[2]["time"]
    audited.run("export", "--since", since, "--out", str(out), "--csv")
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["first_seq"] == 3
    assert manifest["records"] == len(records) - 2
    assert audited.verify(folder=out)["checkpoints"] >= 1
    assert audit_reader.read(out) == records[2:]
    assert (out / "records.csv").read_text().startswith("seq,time,kind,request,identity")
    audited.run("export", "--out", str(out), status=1)  # nothing is written over


def test_one_server_writes_a_folder(audited):
    with pytest.raises(AssertionError, match="another process"):
        audited.start_again()
    assert audited.ask().status_code == 200


def test_sighup_is_an_act(audited):
    audited.server.process.send_signal(1)
    assert eventually(lambda: len(audited.rows("--kind", "act")) == 1)
    row = audited.rows("--kind", "act")[0]
    assert row["act"] == "reload_config" and row["result"] == "ok"
    assert metric(audited.server, "hearth_audit_records_total", 'kind="act"') == 1
