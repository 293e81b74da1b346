"""Serves web/ as the real server does, for work on the page and for its tests.

python3 tests/console/dev_server.py --upstream http://127.0.0.1:8080     /v1/* goes to a hearth
python3 tests/console/dev_server.py --scripted                           prepared answers

In scripted mode the last question names the answer (see scripted.py). The page is the same in
both: the same files under the same policy. Only the standard library is used.
"""

import argparse
import hashlib
import http.client
import http.server
import json
import pathlib
import threading
import urllib.parse

import scripted

WEB = pathlib.Path(__file__).resolve().parents[2] / "web"
MARKED = pathlib.Path("/usr/share/javascript/marked/marked.umd.js")  # Debian's libjs-marked
LICENCE = pathlib.Path("/usr/share/doc/libjs-marked/copyright")
# As src/api/console.cc has them: test_served.py compares.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/v1/"):
            self.api()
        elif path == "/vendor/marked.js":
            self.file(MARKED, TYPES[".js"])
        elif path == "/vendor/marked.LICENSE.txt":
            self.file(LICENCE, "text/plain; charset=utf-8")
        else:
            pages = {"/" if file.name == "index.html" else f"/{file.name}": file
                     for file in WEB.iterdir()}
            if path in pages:
                self.file(pages[path], TYPES[pages[path].suffix])
            else:
                self.answer(404, "text/plain", b"not found")

    def do_POST(self):
        self.api()

    def file(self, path, kind):
        body = path.read_bytes()
        self.answer(200, kind, body, [*HEADERS.items(),
                                      ("ETag", f'"{hashlib.sha256(body).hexdigest()}"')])

    def answer(self, status, kind, body, headers=()):
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def api(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.upstream is None:
            self.scripted(body)
        else:
            self.forward(body)

    def forward(self, body):
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=600)
        try:
            headers = {name: self.headers[name] for name in ("Content-Type", "Authorization")
                       if name in self.headers}
            upstream.request(self.command, self.path, body or None, headers)
            response = upstream.getresponse()
        except OSError:
            # As if there were no server at all.
            self.close_connection = True
            return
        self.send_response(response.status)
        for name in ("Content-Type", "Retry-After"):
            if response.getheader(name):
                self.send_header(name, response.getheader(name))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while piece := response.read1(65536):
                self.wfile.write(piece)
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the reader has stopped; closing tells the server
        finally:
            upstream.close()

    def scripted(self, body):
        key = self.server.key
        if key is not None and self.headers.get("Authorization") != f"Bearer {key}":
            wrong = scripted.error("invalid_api_key", "this server takes requests with a key only")
            self.answer(401, "application/json", wrong.encode())
            return
        if self.path == "/v1/models":
            models = {"object": "list", "data": [{"id": name, "object": "model"}
                                                 for name in self.server.models]}
            self.answer(200, "application/json", json.dumps(models).encode())
            return
        request = json.loads(body)
        self.server.requests.append(request)
        status, headers, events = scripted.answer(request, self.server)
        if events is None:
            self.close_connection = True  # without a word
            return
        if status != 200:
            self.answer(status, "application/json", "".join(events).encode(), headers)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for event in events:
                self.wfile.write(event.encode())
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.server.stopped.set()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port=0, upstream=None):
        super().__init__(("127.0.0.1", port), Handler)
        self.upstream = upstream  # host:port, or None for scripted answers
        self.reset()

    def reset(self):
        self.models = ["first-model"]
        self.requests = []  # bodies of /v1/chat/completions
        self.stopped = threading.Event()  # a reader went away in the middle
        self.go_on = threading.Event()  # answers that wait go on
        self.failures_left = 0
        self.key = None  # of the API

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8090)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--upstream", help="a running hearth, as http://HOST:PORT")
    source.add_argument("--scripted", action="store_true")
    options = parser.parse_args()
    upstream = urllib.parse.urlsplit(options.upstream).netloc if options.upstream else None
    server = Server(options.port, upstream)
    server.go_on.set()
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
