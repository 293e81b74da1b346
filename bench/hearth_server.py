"""A Hearth server of one's own, for as long as a measurement takes."""

import contextlib
import os
import subprocess
import threading


@contextlib.contextmanager
def serving(binary, model, threads, *arguments, environment=None):
    """Its address, http://HOST:PORT."""
    server = subprocess.Popen(
        [binary, "serve", model, "--port", "0", "--threads", str(threads), *arguments],
        stderr=subprocess.PIPE, text=True, env=os.environ | (environment or {}),
    )  # fmt: skip
    try:
        url = next((line.split()[-1] for line in server.stderr if "ready: http" in line), None)
        if url is None:
            raise RuntimeError("the server does not start")
        # What it says later must not fill the pipe.
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield url
    finally:
        server.terminate()
        server.wait()
