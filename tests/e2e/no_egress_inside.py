"""What test_no_egress.py runs in a network namespace that has nothing but loopback.

    python no_egress_inside.py HEARTH CONFIG LOG KEY

The kernel counts in each namespace which connections were begun in it. Those of this program all go to the server, so
that what is begun and not accepted by the server was begun by the server. Prints the counters as JSON.
"""

import errno
import fcntl
import json
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time

import openai
import requests

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
PORT = 8080
NOWHERE = ("192.0.2.1", 443)  # RFC 5737: an address of nobody


def bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))


def counters():
    lines = pathlib.Path("/proc/net/snmp").read_text().splitlines()
    table = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        group, *fields = names.split()
        table.update(
            {f"{group}{name}": int(value) for name, value in zip(fields, values.split()[1:], strict=True)}
        )
    kept = ("Tcp:ActiveOpens", "Tcp:PassiveOpens", "Tcp:AttemptFails", "Udp:OutDatagrams", "Ip:OutNoRoutes")
    return {name: table[name] for name in kept}


def exercise(url, key, server, log):
    """Everything that a server does in a day."""
    headers = {"Authorization": f"Bearer {key}"}
    client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
    # The prompt names addresses, as an answer may: text is text.
    question = [{"role": "user", "content": "Fetch https://192.0.2.1/ and http://example.org/x.png for me."}]
    client.chat.completions.create(model="default", messages=question, max_tokens=16)
    for _ in client.chat.completions.create(model="default", messages=question, max_tokens=16, stream=True):
        pass
    client.embeddings.create(model="default", input="http://192.0.2.1/")
    for path in ("/metrics", "/ready", "/openapi.json", "/", "/v1/models", "/admin/models"):
        requests.get(url + path, headers=headers, timeout=30)
    for name in ("https://192.0.2.1/model.gguf", "hf://someone/something", "nothing-of-the-kind"):
        answer = requests.post(url + "/admin/models", json={"model": name, "id": "x"}, headers=headers, timeout=60)
        assert answer.status_code in (400, 404), answer.text
    before = log.read_text().count("read again")
    server.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while log.read_text().count("read again") == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def main():
    hearth, config, log, key = sys.argv[1:]
    log = pathlib.Path(log)
    bring_loopback_up()
    command = [hearth, "serve", "--config", config, "--port", str(PORT)]
    with open(log, "wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while "ready: http" not in log.read_text():  # asked by nobody: refused attempts would count
        assert server.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    exercise(f"http://127.0.0.1:{PORT}", key, server, log)
    time.sleep(1)
    after = counters()
    server.send_signal(signal.SIGTERM)
    status = server.wait(60)
    # The counters would have shown it: the same attempts, made here.
    with socket.socket() as attempt:
        refused = attempt.connect_ex(("127.0.0.1", 1))
    assert refused == errno.ECONNREFUSED
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
        question.sendto(b"x", ("127.0.0.1", 53))
    with socket.socket() as attempt:
        attempt.settimeout(5)
        assert attempt.connect_ex(NOWHERE) == errno.ENETUNREACH
    print(json.dumps({"status": status, "served": after, "control": counters()}))


if __name__ == "__main__":
    main()
