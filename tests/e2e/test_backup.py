"""hearth backup and restore: of a running server, into another place, where it goes on."""

import json
import subprocess

import audit_reader
import pytest
from serving import Server, config_file
from test_audit import Audited


@pytest.fixture
def audited(hearth, model, configured, tmp_path):
    return Audited(hearth, model, configured, tmp_path)


def run(hearth, *arguments, status=0):
    done = subprocess.run([hearth, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr + done.stdout
    return done.stderr


def test_a_backup_of_a_running_server_goes_on_elsewhere(hearth, audited, tmp_path):
    for _ in range(3):
        assert audited.ask().status_code == 200
    backup = tmp_path / "backup"
    config = tmp_path / "etc" / "hearth.toml"
    run(hearth, "backup", backup, "--config", config)
    assert backup.stat().st_mode & 0o777 == 0o700
    run(hearth, "backup", backup, "--config", config, status=1)  # nothing is written over
    assert audited.ask().status_code == 200
    assert audited.server.stop() == 0

    audit, state = tmp_path / "new" / "audit", tmp_path / "new" / "state"
    run(hearth, "restore", backup, "--audit", audit, "--state", state)
    assert audited.verify(folder=audit)["requests"] == 3
    assert (audit / "signer.key").stat().st_mode & 0o777 == 0o600
    assert (state / "site.key").read_text() == audited.site.path.read_text()
    run(hearth, "restore", backup, "--audit", audit, "--state", state, status=1)

    text = (state / "hearth.toml").read_text().replace(str(audited.folder), str(audit))
    text = text.replace(str(audited.site.path), str(state / "site.key"))
    path = config_file(tmp_path / "etc2", text)
    server = Server(hearth, None, tmp_path / "log2", "--config", str(path))
    audited.server = server
    assert audited.ask().status_code == 200
    assert server.stop() == 0
    assert audited.verify("--signer", str(audited.folder / "signer.pub"), folder=audit)["starts"] == 2
    audit_reader.read(audit)


def test_a_changed_backup_is_refused_before_anything_is_written(hearth, audited, tmp_path):
    assert audited.ask().status_code == 200
    backup = tmp_path / "backup"
    run(hearth, "backup", backup, "--config", tmp_path / "etc" / "hearth.toml")
    target = ["--audit", tmp_path / "a", "--state", tmp_path / "s"]
    path = next(backup.glob("audit/audit-*.jsonl"))
    good = path.read_text()
    path.write_text(good.replace("nurse", "ghost", 1))
    assert "was changed" in run(hearth, "restore", backup, *target, status=1)
    path.write_text(good)
    manifest = backup / "manifest.json"
    document = json.loads(manifest.read_text())
    for name in ("audit/../../x", "other/x", "state/", "state/.ssh", "/etc/x"):
        changed = document | {"files": [document["files"][0] | {"name": name}]}
        manifest.write_text(json.dumps(changed))
        assert "does not belong" in run(hearth, "restore", backup, *target, status=1)
    assert not (tmp_path / "a").exists() and not (tmp_path / "s").exists()
