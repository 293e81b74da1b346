"""https: who is let in, what is refused, and certificates that change while the server runs."""

import hashlib
import json
import pathlib
import random
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
import requests
import test_openapi
from measure import metric
from serving import STOP_S_MAX, Server, config_file, free_port

SUITES = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"}


def self_signed(hearth, folder, *options):
    subprocess.run([hearth, "keys", "tls-selfsigned", str(folder), *options], check=True)
    return folder


def tls_options(folder):
    return "--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")


@pytest.fixture(scope="module")
def certificates(hearth, tmp_path_factory):
    return self_signed(hearth, tmp_path_factory.mktemp("tls") / "own")


@pytest.fixture(scope="module")
def tls_server(hearth, model, certificates, tmp_path_factory):
    log = tmp_path_factory.mktemp("serve") / "log"
    ca = certificates / "cert.pem"
    server = Server(hearth, model, log, "--ctx", "512", *tls_options(certificates), ca=ca)
    yield server
    assert server.process.poll() is None, server.log.read_text(errors="replace")
    assert server.stop() == 0


def refused_start(hearth, model, *options):
    """What `hearth serve` says when it does not start."""
    done = subprocess.run(
        [hearth, "serve", model, "--port", str(free_port()), "--ctx", "128", *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def fingerprint(path):
    pem = pathlib.Path(path).read_text()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def test_a_first_try(hearth, tmp_path):
    folder = tmp_path / "tls"
    command = [hearth, "keys", "tls-selfsigned", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    assert fingerprint(folder / "cert.pem") in done.stdout
    assert f"--tls-cert {folder}/cert.pem --tls-key {folder}/key.pem" in done.stdout
    text = subprocess.check_output(
        ["openssl", "x509", "-in", folder / "cert.pem", "-noout", "-text"], text=True
    )
    for name in ("DNS:localhost", "IP Address:127.0.0.1", "DNS:" + socket.gethostname()):
        assert name in text
    assert "CA:FALSE" in text and "NIST CURVE: P-256" in text

    before = (folder / "key.pem").read_bytes()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1 and "is there already" in again.stderr
    assert (folder / "key.pem").read_bytes() == before

    self_signed(hearth, tmp_path / "named", "--host", "a.example", "--host", "192.0.2.7")
    text = subprocess.check_output(
        ["openssl", "x509", "-in", tmp_path / "named/cert.pem", "-noout", "-ext", "subjectAltName"],
        text=True,
    )
    assert "DNS:a.example, IP Address:192.0.2.7" in text and "localhost" not in text
    wrong = subprocess.run([*command[:3], str(tmp_path / "x"), "--host", "a b"], capture_output=True)
    assert wrong.returncode == 1 and not (tmp_path / "x").exists()


# ---- a scan, as testssl.sh makes it


def s_client(server, *options):
    """(whether the handshake was done, what openssl tells of it)"""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *options],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
    )
    match = re.search(r"New, (\S+), Cipher is (\S+)", done.stdout)
    return bool(match) and match[2] != "(NONE)", done.stdout + done.stderr


def suites_of_openssl(version):
    every = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
    command = ["openssl", "ciphers", "-s", version, every]
    return [name for name in subprocess.check_output(command, text=True).strip().split(":")]


def test_scan_of_versions_and_suites(tls_server):
    for version in ("-tls1", "-tls1_1", "-tls1_2"):
        done, text = s_client(tls_server, version, "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")
        assert not done and "alert protocol version" in text, text
    old = [suite for suite in suites_of_openssl("-tls1_2") if not suite.startswith("TLS_")]
    assert len(old) > 20
    for suite in old:
        done, text = s_client(tls_server, "-tls1_2", "-cipher", suite + ":@SECLEVEL=0")
        assert not done, f"{suite}:\n{text}"
    taken = set()
    for suite in sorted(SUITES | {"TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"}):
        done, text = s_client(tls_server, "-tls1_3", "-ciphersuites", suite)
        if done:
            taken.add(suite)
    assert taken == SUITES
    for group in ("X25519", "P-256", "P-384"):
        assert s_client(tls_server, "-groups", group)[0], group
    for group in ("P-521", "X448", "ffdhe2048"):
        assert not s_client(tls_server, "-groups", group)[0], group


def test_scan_of_a_good_connection(tls_server, certificates):
    done, text = s_client(
        tls_server, "-CAfile", str(certificates / "cert.pem"), "-verify_return_error",
        "-verify_hostname", "localhost", "-alpn", "h2,http/1.1",
    )  # fmt: skip
    assert done, text
    assert "Verification: OK" in text
    assert "New, TLSv1.3" in text
    assert "ALPN protocol: http/1.1" in text
    assert "Compression: NONE" in text
    assert "Secure Renegotiation IS NOT supported" in text  # TLS 1.3 has none
    assert "Early data was not sent" in text
    assert "Session Ticket" not in text  # nothing outlives the connection
    assert "No client certificate CA names sent" in text
    assert not s_client(tls_server, "-alpn", "h2")[0]


def test_plain_http_is_told_to_use_https(tls_server):
    answer = requests.get(f"http://127.0.0.1:{tls_server.port}/v1/models", timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "https_required"
    assert metric(tls_server, "hearth_tls_handshake_failures_total", 'reason="plain_http"') >= 1
    assert metric(tls_server, "hearth_errors_total", 'code="https_required"') >= 1
    assert metric(tls_server, "hearth_tls_handshakes_total") >= 1


# ---- as clients see it


def test_the_openai_client(tls_server):
    client = tls_server.client()
    assert [model.id for model in client.models.list().data]
    whole = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "Hi"}], max_tokens=8, temperature=0
    )
    pieces = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "Hi"}], max_tokens=8, temperature=0,
        stream=True,
    )  # fmt: skip
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == whole.choices[0].message.content
    with pytest.raises(requests.exceptions.SSLError):  # without the certificate nobody trusts it
        requests.get(tls_server.url + "/v1/models", timeout=10)


def test_origins_and_preflights(tls_server):
    def status(method="GET", **headers):
        answer = requests.request(
            method, tls_server.url + "/v1/models", timeout=10, verify=tls_server.verify,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )  # fmt: skip
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        # It would hold for whatever else runs under this name, on any port.
        assert "Strict-Transport-Security" not in answer.headers
        return answer.status_code

    own = f"127.0.0.1:{tls_server.port}"
    assert status(Origin="https://" + own) == 200
    assert status(Origin="http://" + own) == 403
    assert status(Origin="https://evil.example") == 403
    asks = {"Access_Control_Request_Method": "POST"}
    assert status("OPTIONS", Origin="https://evil.example", **asks) == 403
    assert status("OPTIONS", Origin="https://" + own, **asks) == 405
    assert status(Host="evil.example") == 421


def test_bench_serve_over_https(hearth, tls_server, certificates):
    def bench(*options):
        return subprocess.run(
            [hearth, "bench", "serve", tls_server.url, "-c", "4", "-n", "8", "--words", "8",
             "--max-tokens", "4", "--json", *options],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    done = bench("--ca", str(certificates / "cert.pem"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["succeeded"] == 8
    assert bench("--insecure").returncode == 0
    distrustful = bench()
    assert distrustful.returncode == 1 and "no TLS with" in distrustful.stderr


def test_generated_requests_over_https(hearth, model, certificates, tmp_path):
    """A short round of what test_openapi.py does at length, with the key that it sends."""
    digest = hashlib.sha256(test_openapi.KEY.encode()).hexdigest()
    config = config_file(
        tmp_path / "etc",
        f'[[keys]]\nname = "test"\nsha256 = "{digest}"\n'
        'permissions = ["manage-models", "use-models", "read-metrics"]\n',
    )
    server = Server(
        hearth, model, tmp_path / "log", "--ctx", "128", "--config", str(config),
        *tls_options(certificates), ca=certificates / "cert.pem",
    )  # fmt: skip
    try:
        document = requests.get(
            server.url + "/openapi.json", timeout=60, verify=server.verify
        ).json()
        seed = random.randrange(2**32)
        print(f"seed {seed}")
        body, _ = test_openapi.as_two(document)
        counts, failures = test_openapi.run(
            body, server.url, seed, 20, coverage=False, verify=server.verify
        )
        assert not failures, f"seed {seed}:\n" + "\n\n".join(failures[:20])
        assert sum(counts.values()) >= 100
    finally:
        assert server.stop() == 0


# ---- certificates that change, and those that are no good


def served_fingerprint(server):
    pem = ssl.get_server_certificate(("127.0.0.1", server.port))
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def hang_up(server, words):
    """SIGHUP; waits until the log says `words` once more."""
    before = server.log.read_text().count(words)
    server.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: server.log.read_text().count(words) > before), server.log.read_text()


def test_a_new_certificate_while_streams_are_open(hearth, model, tmp_path):
    live = self_signed(hearth, tmp_path / "live", "--days", "30")
    other = self_signed(hearth, tmp_path / "other", "--days", "90")
    both = tmp_path / "both.pem"
    both.write_text((live / "cert.pem").read_text() + (other / "cert.pem").read_text())
    server = Server(hearth, model, tmp_path / "log", *tls_options(live), ca=both)
    try:
        days = metric(server, "hearth_tls_certificate_expiry_days")
        assert 29.9 < days <= 30
        assert metric(server, "hearth_tls_certificate_reload_failed") == 0
        request = {"prompt": "Once", "max_tokens": 150, "ignore_eos": True, "stream": True}
        alone = server.post("/generate", request).text
        texts = []
        threads = [
            threading.Thread(target=lambda: texts.append(server.post("/generate", request).text))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        # A new certificate, and before its key is there too: the old one stays.
        (live / "cert.pem").write_bytes((other / "cert.pem").read_bytes())
        hang_up(server, "the TLS certificate stays as it was")
        assert "is not the key of" in server.log.read_text()
        assert metric(server, "hearth_tls_certificate_reload_failed") == 1
        assert served_fingerprint(server) != fingerprint(other / "cert.pem")
        (live / "key.pem").write_bytes((other / "key.pem").read_bytes())
        hang_up(server, "new TLS certificate")
        assert served_fingerprint(server) == fingerprint(other / "cert.pem")
        for thread in threads:
            thread.join(60)

        def without_ids(stream):
            return re.sub(r'"(id|created|timings|request_id)":[^,}]*', "", stream)

        assert len(texts) == 4 and all("[DONE]" in text for text in texts)
        words = [re.findall(r'"text":"((?:[^"\\]|\\.)*)"', text) for text in [alone, *texts]]
        assert words[0] and all(text == words[0] for text in words), without_ids(alone)[:300]
        assert 89.9 < metric(server, "hearth_tls_certificate_expiry_days") <= 90
        assert metric(server, "hearth_tls_certificate_reload_failed") == 0
        assert metric(server, "hearth_tls_certificate_reloads_total", 'result="ok"') == 1
    finally:
        assert server.stop() == 0


def test_certificates_that_are_no_good(hearth, model, certificates, tmp_path):
    folder = self_signed(hearth, tmp_path / "other")
    cert, key = certificates / "cert.pem", certificates / "key.pem"

    def said(certificate, its_key):
        options = "--tls-cert", str(certificate), "--tls-key", str(its_key)
        return refused_start(hearth, model, *options)

    assert "is not the key of" in said(cert, folder / "key.pem")
    exposed = tmp_path / "exposed.pem"
    exposed.write_bytes(key.read_bytes())
    exposed.chmod(0o644)
    assert "everybody on this machine may read it" in said(cert, exposed)
    assert "No such file" in said(tmp_path / "none.pem", key)
    expired = tmp_path / "expired.pem"
    request = subprocess.check_output(
        ["openssl", "req", "-new", "-key", str(key), "-subj", "/CN=hearth"]
    )
    subprocess.run(
        ["openssl", "x509", "-req", "-days", "-1", "-signkey", str(key), "-out", str(expired)],
        input=request, check=True, capture_output=True,
    )  # fmt: skip
    assert "expired on" in said(expired, key)
    lone = subprocess.run(
        [hearth, "serve", model, "--tls-cert", str(cert)], capture_output=True, text=True
    )
    assert lone.returncode == 1 and "go together" in lone.stderr


def test_beyond_loopback_only_with_tls_and_a_key(hearth, model, certificates):
    # Only the refusals: no test listens there.
    assert "needs a certificate" in refused_start(hearth, model, "--host", "0.0.0.0")
    assert "needs at least one key" in refused_start(
        hearth, model, "--host", "0.0.0.0", *tls_options(certificates)
    )


def authority(folder, name):
    """A new authority, and a certificate for a client that it has signed."""
    folder.mkdir()

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
    openssl("req", "-new", *curve, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=x")
    (folder / "names").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=clientAuth\n")
    openssl(
        "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-extfile", "names", "-out", "cert.pem",
    )  # fmt: skip
    return folder


def test_client_certificates(hearth, model, certificates, tmp_path):
    ours = authority(tmp_path / "ours", "ward3.example")
    strange = authority(tmp_path / "strange", "ward3.example")
    config = config_file(
        tmp_path / "etc",
        f'[server]\ntls_certificate = "{certificates}/cert.pem"\n'
        f'tls_key = "{certificates}/key.pem"\ntls_client_ca = "{ours}/ca.pem"\n'
        f'tls_client_auth = "required"\n[[models]]\nmodel = "{model}"\nctx = 128\n',
    )
    port = free_port()
    process = subprocess.Popen(
        [hearth, "serve", "--config", str(config), "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert any("ready: https" in line for line in process.stderr)
        url = f"https://127.0.0.1:{port}/v1/models"
        how = {"verify": str(certificates / "cert.pem"), "timeout": 10}
        for other in (None, strange):
            given = (str(other / "cert.pem"), str(other / "key.pem")) if other else None
            with pytest.raises(requests.exceptions.ConnectionError):
                requests.get(url, cert=given, **how)
        own = (str(ours / "cert.pem"), str(ours / "key.pem"))
        assert requests.get(url, cert=own, **how).status_code == 200
        metrics = requests.get(f"https://127.0.0.1:{port}/metrics", cert=own, **how).text
        refused = re.search(r'failures_total{reason="client_certificate"} (\d+)', metrics)
        assert int(refused[1]) == 2
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S_MAX) == 0
