"""A running `hearth serve`, for the tests of every folder."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import openai
import requests

START_S_MAX = 120
STOP_S_MAX = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def config_file(folder, text):
    folder.mkdir(exist_ok=True)
    path = folder / "hearth.toml"
    path.write_text(text)
    return path


class Server:
    """On a free port unless one is given; `log` is the file for what it says."""

    def __init__(self, hearth, model, log, *options, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = pathlib.Path(log)
        chosen = [model] if model else []  # else the configuration file says it
        command = [hearth, "serve", *chosen, "--port", str(self.port), *options]
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S_MAX
        while not self.ready():
            status = self.process.poll()
            text = self.log.read_text(errors="replace")
            assert status is None, f"hearth serve ended with {status}:\n{text}"
            assert time.monotonic() < deadline, f"hearth serve is not ready:\n{text}"
            time.sleep(0.05)

    def ready(self):
        try:
            return requests.get(self.url + "/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def client(self):
        return openai.OpenAI(base_url=self.url + "/v1", api_key="none", max_retries=0, timeout=120)

    def post(self, path, document=None, **options):
        return requests.post(self.url + path, json=document, timeout=120, **options)

    def connect(self):
        """A raw connection."""
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(60)
        return connection

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        """Asks for an orderly end; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S_MAX)
