"""hearth seal, unseal, rewrap, and every command with a sealed model. The format: docs/formats/sealed.md."""

import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import sealed_file
from serving import Server, config_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ROOT / "tests/data/tiny/llama"
KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


def run(hearth, *args, stdin=None, env=None, status=0):
    done = subprocess.run(
        [hearth, *map(str, args)],
        input=stdin,
        env=None if env is None else os.environ | env,
        capture_output=True,
        timeout=300,
    )
    error = done.stderr.decode(errors="replace")
    assert done.returncode == status, f"{args}: {done.returncode}\n{error}"
    return error if status else done.stdout


def key_file(folder, content, name="key", mode=0o600):
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return f"file:{path}"


@pytest.fixture
def key(tmp_path):
    return key_file(tmp_path, KEY)


@pytest.fixture(scope="session")
def gguf(hearth, model):
    """The path of a GGUF file."""
    return run_json(hearth, "show", model, "--json")["path"]


def run_json(hearth, *args, **options):
    return json.loads(run(hearth, *args, **options))


@pytest.fixture(scope="session")
def sealed_gguf(hearth, gguf, tmp_path_factory):
    """A sealed model and its key."""
    folder = tmp_path_factory.mktemp("sealed")
    out = folder / "model.gguf.sealed"
    key = key_file(folder, KEY)
    run(hearth, "seal", gguf, out, "--key", key)
    return out, key


def generate(hearth, model, folder, *args, **options):
    tokens = folder / "tokens.json"
    tokens.write_text("[1, 5, 9, 20]")
    return run(
        hearth, "generate", model, "--tokens", tokens, "--max-tokens", 12, "--ignore-eos",
        "--threads", 1, "--json", *args, **options,
    )  # fmt: skip


def test_a_gguf_file_gives_the_same_tokens(hearth, gguf, sealed_gguf, tmp_path):
    sealed, key = sealed_gguf
    assert generate(hearth, sealed, tmp_path, "--key", key) == generate(hearth, gguf, tmp_path)
    shown = run_json(hearth, "show", sealed, "--key", key, "--json")
    plain = run_json(hearth, "show", gguf, "--json")
    assert shown.pop("sealed") is True and plain.pop("sealed") is False
    assert "locked" in shown.pop("memory")
    for different in ("name", "path"):
        shown.pop(different), plain.pop(different)
    assert shown == plain
    (tmp_path / "messages.json").write_text('[{"role": "user", "content": "Hi"}]')
    for command, *args in (
        ("tokenize", "--text", "Hello there", "--json"),
        ("render", "--messages", tmp_path / "messages.json"),
        ("logits", "--tokens", tmp_path / "tokens.json", "--json", "--top", 3),
    ):
        assert run(hearth, command, sealed, *args, "--key", key) == run(hearth, command, gguf, *args)
    speed = run_json(hearth, "bench", "engine", sealed, "--key", key, "-p", 8, "-n", 4, "-b", 1, "--json")
    assert speed["decode"][0]["tok_s"] > 0


def test_a_folder_gives_the_same_tokens(hearth, key, tmp_path):
    run(hearth, "seal", TINY, tmp_path / "sealed", "--key", key)
    assert sorted(p.name for p in (tmp_path / "sealed").iterdir()) == sorted(p.name for p in TINY.iterdir())
    plain = generate(hearth, TINY, tmp_path)
    assert generate(hearth, tmp_path / "sealed", tmp_path, "--key", key) == plain
    # Of a folder the weights alone may be sealed as well.
    mixed = tmp_path / "mixed"
    shutil.copytree(TINY, mixed)
    (mixed / "model.safetensors").unlink()
    run(hearth, "seal", TINY / "model.safetensors", mixed / "model.safetensors", "--key", key)
    assert generate(hearth, mixed, tmp_path, "--key", key) == plain
    run(hearth, "unseal", tmp_path / "sealed", tmp_path / "back", "--key", key)
    for path in TINY.iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()


def test_a_draft_model_may_be_sealed(hearth, tmp_path):
    one, two = key_file(tmp_path, KEY, "one"), key_file(tmp_path, OTHER, "two")
    run(hearth, "seal", TINY, tmp_path / "m", "--key", one)
    run(hearth, "seal", TINY, tmp_path / "d", "--key", two)
    plain = generate(hearth, TINY, tmp_path)
    draft = ("--draft-model", tmp_path / "d")
    assert generate(hearth, tmp_path / "m", tmp_path, "--key", one, *draft, "--draft-key", two) == plain
    error = generate(hearth, tmp_path / "m", tmp_path, "--key", one, *draft, status=1)
    assert "does not open it" in error
    assert generate(hearth, tmp_path / "m", tmp_path, "--key", one, "--draft-model", TINY) == plain


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9_000_001])
def test_the_document_is_enough_to_write_a_reader(hearth, tmp_path, key, size):
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(size))
    run(hearth, "seal", plain, tmp_path / "sealed", "--key", key)
    sealed = (tmp_path / "sealed").read_bytes()
    assert sealed_file.read(sealed, key=KEY) == plain.read_bytes()
    with pytest.raises(StopIteration):
        sealed_file.read(sealed, key=OTHER)
    run(hearth, "unseal", tmp_path / "sealed", tmp_path / "back", "--key", key)
    assert (tmp_path / "back").read_bytes() == plain.read_bytes()
    assert (tmp_path / "back").stat().st_mode & 0o77 == 0


def test_passphrases_and_several_keys(hearth, tmp_path, key):
    plain = tmp_path / "plain"
    plain.write_bytes(b"a secret of this model" * 100)
    run(hearth, "seal", plain, tmp_path / "s", "--key", "passphrase", "--key", key,
        stdin=b"correct horse\n")  # fmt: skip
    sealed = (tmp_path / "s").read_bytes()
    assert sealed_file.read(sealed, passphrase=b"correct horse") == plain.read_bytes()
    assert sealed_file.read(sealed, key=KEY) == plain.read_bytes()
    run(hearth, "unseal", tmp_path / "s", tmp_path / "a", "--key", "passphrase", stdin=b"correct horse\n")
    run(hearth, "unseal", tmp_path / "s", tmp_path / "b", "--key", key)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == plain.read_bytes()
    error = run(hearth, "unseal", tmp_path / "s", tmp_path / "c", "--key", "passphrase",
                stdin=b"correct house\n", status=1)  # fmt: skip
    assert "does not open it" in error and "horse" not in error
    assert not (tmp_path / "c").exists()
    assert "no passphrase" in run(hearth, "unseal", tmp_path / "s", tmp_path / "c", "--key",
                                  "passphrase", stdin=b"", status=1)  # fmt: skip


def test_signatures(hearth, tmp_path, key):
    def pair(name):
        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        key_file(tmp_path, pem, name)
        (tmp_path / (name + ".pub")).write_bytes(
            private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return private.public_key().public_bytes_raw()

    ours, _ = pair("ours"), pair("theirs")
    run(hearth, "seal", TINY, tmp_path / "signed", "--key", key, "--sign-key", tmp_path / "ours")
    run(hearth, "seal", TINY, tmp_path / "unsigned", "--key", key)
    weights = (tmp_path / "signed/model.safetensors").read_bytes()
    assert sealed_file.read(weights, key=KEY, signer=ours) == (TINY / "model.safetensors").read_bytes()
    plain = generate(hearth, TINY, tmp_path)
    pinned = ("--key", key, "--signer", tmp_path / "ours.pub")
    assert generate(hearth, tmp_path / "signed", tmp_path, *pinned) == plain
    other = ("--key", key, "--signer", tmp_path / "theirs.pub")
    assert "somebody else" in generate(hearth, tmp_path / "signed", tmp_path, *other, status=1)
    assert "nobody has signed" in generate(hearth, tmp_path / "unsigned", tmp_path, *pinned, status=1)
    # Each file of the model, not the weights alone.
    shutil.copy(TINY / "config.json", tmp_path / "signed/config.json")
    assert "not sealed" in generate(hearth, tmp_path / "signed", tmp_path, *pinned, status=1)


def test_where_keys_come_from(hearth, tmp_path):
    (tmp_path / "plain").write_bytes(b"x" * 1000)
    run(hearth, "seal", tmp_path / "plain", tmp_path / "s", "--key", key_file(tmp_path, KEY))
    n = 0

    def unseal(source, **options):
        nonlocal n
        n += 1
        return run(hearth, "unseal", tmp_path / "s", tmp_path / f"out{n}", "--key", source, **options)

    texts = [KEY.hex().encode(), KEY.hex().upper().encode() + b"\n", base64.b64encode(KEY) + b"\n"]
    for i, text in enumerate(texts):
        unseal(key_file(tmp_path, text, f"k{i}"))
        unseal("env:SEAL_KEY", env={"SEAL_KEY": text.decode().strip()})
    unseal(key_file(tmp_path, KEY, "group", 0o440))
    for mode in (0o604, 0o644, 0o666, 0o620):
        error = unseal(key_file(tmp_path, KEY, f"m{mode}", mode), status=1)
        assert "others may" in error and "chmod 600" in error
    for bad in (b"", KEY[:31], KEY + b"!", b"z" * 64, os.urandom(5000)):
        error = unseal(key_file(tmp_path, bad, "bad"), status=1)
        assert "not 32 bytes" in error or "too long" in error
    assert "No such file" in unseal(f"file:{tmp_path}/missing", status=1)
    assert "SEAL_NONE" in unseal("env:SEAL_NONE", status=1)
    secret = KEY.hex()
    for wrong in (secret, "file:", "env:", "vault:x", "passphrase:x"):
        error = unseal(wrong, status=2)
        assert secret not in error  # what stands where a name should be may be the key itself


def test_what_is_refused(hearth, gguf, sealed_gguf, tmp_path, key):
    sealed, _ = sealed_gguf
    wrong = key_file(tmp_path, OTHER, "wrong")
    assert "does not open it" in generate(hearth, sealed, tmp_path, "--key", wrong, status=1)
    assert "--key" in generate(hearth, sealed, tmp_path, status=1)
    # Whoever gives a key does not get a plain model in the place of the sealed one.
    assert "not sealed" in generate(hearth, gguf, tmp_path, "--key", key, status=1)
    assert "there already" in run(hearth, "seal", gguf, sealed, "--key", key, status=1)
    assert "sealed already" in run(hearth, "seal", sealed, tmp_path / "x", "--key", key, status=1)
    assert not (tmp_path / "x").exists()


def test_changed_files_end_every_command_cleanly(hearth, tmp_path, key):
    run(hearth, "seal", TINY, tmp_path / "m", "--key", key)
    path = tmp_path / "m/model.safetensors"
    whole = path.read_bytes()
    places = [0, 9, 13, 17, 25, 40, 60, 82, 90, 128, 150, 170, 200, 400, 2180, 2500, 4096, 4100]
    places += [4096 + len(whole) // 2, len(whole) - 100, len(whole) - 1]
    for at in places:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        error = generate(hearth, tmp_path / "m", tmp_path, "--key", key, status=1)
        assert len(error.strip().splitlines()) == 1, error
    for size in (1, 8, 4095, 4096, len(whole) - 1):
        path.write_bytes(whole[:size])
        generate(hearth, tmp_path / "m", tmp_path, "--key", key, status=1)


def test_rewrap_changes_the_key_and_nothing_else(hearth, tmp_path, key):
    new = key_file(tmp_path, OTHER, "new")
    run(hearth, "seal", TINY, tmp_path / "m", "--key", key)
    path = tmp_path / "m/model.safetensors"
    before = path.read_bytes()
    run(hearth, "rewrap", path, "--key", key, "--new-key", new)
    after = path.read_bytes()
    assert before[:128] == after[:128] and before[4096:] == after[4096:] and before != after
    assert sealed_file.read(after, key=OTHER) == (TINY / "model.safetensors").read_bytes()
    # The folder: one of its files has the new key already.
    run(hearth, "rewrap", tmp_path / "m", "--key", key, "--new-key", new)
    assert "does not open it" in generate(hearth, tmp_path / "m", tmp_path, "--key", key, status=1)
    assert generate(hearth, tmp_path / "m", tmp_path, "--key", new) == generate(hearth, TINY, tmp_path)


def opens_with(hearth, path, folder, keys):
    out = folder / "probe"
    names = []
    for name, source in keys.items():
        out.unlink(missing_ok=True)
        done = subprocess.run(
            [hearth, "unseal", str(path), str(out), "--key", source], capture_output=True, timeout=60
        )
        if done.returncode == 0:
            names.append(name)
    return names


def test_killed_while_rewrapping_the_old_key_opens_or_the_new_one(hearth, tmp_path, key):
    new = key_file(tmp_path, OTHER, "new")
    keys = {"old": key, "new": new}
    (tmp_path / "plain").write_bytes(b"x" * 100_000)
    path = tmp_path / "s"
    for point, expected in (("before_slots", "new"), ("after_slots", "new")):
        path.unlink(missing_ok=True)
        run(hearth, "seal", tmp_path / "plain", path, "--key", key)
        run(hearth, "rewrap", path, "--key", key, "--new-key", new,
            env={"HEARTH_FAULT_POINTS": f"rewrap.{point}=1"}, status=1)  # fmt: skip
        assert opens_with(hearth, path, tmp_path, keys) == [expected]
        run(hearth, "rewrap", path, "--key", new, "--new-key", key)
        assert opens_with(hearth, path, tmp_path, keys) == ["old"]
        assert not (tmp_path / "s.slots").exists()
    for delay_ms in range(0, 24, 2):
        current, following = ("old", "new") if delay_ms % 4 == 0 else ("new", "old")
        command = [hearth, "rewrap", str(path), "--key", keys[current], "--new-key", keys[following]]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            time.sleep(delay_ms / 1000)
            process.kill()
            process.wait(60)
        found = opens_with(hearth, path, tmp_path, keys)
        assert len(found) == 1, found
        if found != [following]:  # as the next round expects it
            run(hearth, "rewrap", path, "--key", keys[found[0]], "--new-key", keys[following])


def mappings(pid):
    """(first, last, flags) of each mapping that can be read."""
    found = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
        if head:
            span = int(head[1], 16), int(head[2], 16), head[3]
        elif line.startswith("VmFlags:") and span[2].startswith("r"):
            found.append((span[0], span[1], line.split()[1:]))
    return found


def mappings_with(pid, needles):
    """Where each of these bytes is: name -> [(first, flags of the mapping)]."""
    found = {name: [] for name in needles}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for first, last, flags in mappings(pid):
            carry = b""
            for at in range(first, last, 1 << 24):
                try:
                    memory.seek(at)
                    piece = carry + memory.read(min(1 << 24, last - at))
                except (OSError, ValueError, OverflowError):
                    break  # what no one can read: the kernel's own pages
                for name, needle in needles.items():
                    if needle in piece:
                        found[name].append((first, flags))
                carry = piece[-64:]
    return found


def needles(gguf):
    """Bytes of the file that stand nowhere else: of the embedding, of a later tensor, of the header."""
    content = pathlib.Path(gguf).read_bytes()
    return {
        "weights": content[len(content) // 2 :][:48],
        "end": content[-100:-52],
        "header": content[2000:2048],
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into the process")
def test_memory_is_in_no_core_file_and_never_swapped(hearth, gguf, sealed_gguf, tmp_path):
    sealed, _ = sealed_gguf
    secret = os.urandom(32)
    own = tmp_path / "own.sealed"
    shutil.copy(sealed, own)
    fresh = key_file(tmp_path, secret, "fresh")
    run(hearth, "rewrap", own, "--key", f"file:{sealed.parent}/key", "--new-key", fresh)
    env = os.environ.copy()
    os.environ["SEAL_KEY"] = secret.hex()
    try:
        config = config_file(
            tmp_path / "etc", f'[[models]]\nmodel = "{own}"\nkey = "env:SEAL_KEY"\ncache_mib = 64\n'
        )
        server = Server(hearth, None, tmp_path / "log", "--config", str(config))
    finally:
        os.environ.clear()
        os.environ.update(env)
    try:
        pid = server.process.pid
        assert server.post("/generate", {"prompt": "Hello", "max_tokens": 4}).status_code == 200
        locked = "memory locked" in server.log.read_text()
        assert locked or "memory not locked" in server.log.read_text()
        secrets = needles(gguf) | {"key": secret, "variable": secret.hex().encode()}
        places = mappings_with(pid, secrets)
        assert places["header"] and places["key"], "the test looks for what is there"
        for name, found in places.items():
            for first, flags in found:
                if locked:
                    assert "lo" in flags, f"{name} at {first:x} can be swapped out"
        assert not places["variable"], "the environment was not wiped"
        assert secret.hex().encode() not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert int(pathlib.Path(f"/proc/{pid}/coredump_filter").read_text(), 16) == 0
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0", limits)
        if shutil.which("gcore"):
            subprocess.run(["gcore", "-o", str(tmp_path / "core"), str(pid)], check=True,
                           capture_output=True, timeout=300)  # fmt: skip
            core = next(tmp_path.glob("core.*")).read_bytes()
            for name, needle in secrets.items():
                assert needle not in core, name
    finally:
        server.stop()


def test_loaded_models_serve_on_without_their_key(hearth, tmp_path):
    """The key is gone: what is loaded serves, what is new is refused (faults.md, 38)."""
    key = key_file(tmp_path, KEY)
    run(hearth, "seal", TINY, tmp_path / "one", "--key", key)
    run(hearth, "seal", TINY, tmp_path / "two", "--key", key)
    entry = '[[models]]\nmodel = "{}"\nkey = "{}"\nid = "{}"\nthreads = 1\n'
    one = entry.format(tmp_path / "one", key, "one")
    path = config_file(tmp_path / "etc", one)
    server = Server(hearth, None, tmp_path / "log", "--config", str(path))
    try:
        def served():
            return [m["id"] for m in server.client().models.list().model_dump()["data"]]

        def reload(text, wanted):
            path.write_text(text)
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 60
            while wanted not in server.log.read_text():
                assert time.monotonic() < deadline, server.log.read_text()
                time.sleep(0.05)

        os.rename(tmp_path / "key", tmp_path / "away")
        two = one + entry.format(tmp_path / "two", key, "two")
        reload(two, "the configuration stays as it was")
        assert served() == ["one"]
        os.rename(tmp_path / "away", tmp_path / "key")
        reload(two, "configuration read again")
        assert served() == ["one", "two"]
    finally:
        assert server.stop() == 0
