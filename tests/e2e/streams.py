"""Many raw connections on one thread, and what their bytes mean.

A client that parses while it waits takes the cores from the server: bytes are kept, and read when
the last one has come.
"""

import json
import resource
import select
import socket
import time

CONNECT_AT_ONCE = 256  # fewer than wait to be accepted anywhere


def allow_descriptors(count):
    """Lifts this process's own limit, which is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        assert hard == resource.RLIM_INFINITY or hard >= count, f"at most {hard} open files"
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def post(path, document):
    body = json.dumps(document).encode()
    return (
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body)
    )


def stream_of(number, tokens, logprobs=None):
    """A streamed chat of just so many tokens; likely ones beside each make its events large."""
    document = {
        "messages": [{"role": "user", "content": f"Tell me about the number {number}."}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
    }
    if logprobs:
        document |= {"logprobs": True, "top_logprobs": logprobs}
    return post("/v1/chat/completions", document)


class Connection:
    """One request and the bytes of its answer."""

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.arrivals = []  # moments, one for each read
        self.ended = False

    def send(self, data):
        self.socket.sendall(data)

    def read(self, size=65536):
        """Takes what is there."""
        data = self.socket.recv(size, socket.MSG_DONTWAIT)
        self.arrivals.append(time.perf_counter())
        self.received += data
        if not data or self.received.endswith(b"\r\n0\r\n\r\n"):
            self.ended = True

    def events(self):
        """The data of a complete stream with the status 200; the last is [DONE]."""
        head, _, body = bytes(self.received).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), bytes(self.received[:500])
        text = dechunk(body).decode()
        assert text.endswith("\n\n")
        # A comment after each silence of 15 s is no event.
        events = [event for event in text[:-2].split("\n\n") if not event.startswith(":")]
        assert all(event.startswith("data: ") for event in events), text
        return [event.removeprefix("data: ") for event in events]

    def close(self):
        self.socket.close()


def dechunk(body):
    """The joined chunks; nothing may be missing, and nothing may follow."""
    out = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        out.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
        assert body[at - 2 : at] == b"\r\n"
        if size == 0:
            assert at == len(body)
            return b"".join(out)


class Reader:
    """Reads connections as their bytes come."""

    def __init__(self):
        self.epoll = select.epoll()
        self.by_number = {}

    def add(self, connection):
        number = connection.socket.fileno()
        self.by_number[number] = connection
        self.epoll.register(number, select.EPOLLIN)

    def remove(self, connection):
        number = connection.socket.fileno()
        self.epoll.unregister(number)
        del self.by_number[number]

    def poll(self, seconds):
        """Reads from what is ready, forgets what has ended, and gives them all."""
        ready = [self.by_number[number] for number, _ in self.epoll.poll(seconds)]
        for connection in ready:
            connection.read()
            if connection.ended:
                self.remove(connection)
        return ready

    def __len__(self):
        return len(self.by_number)

    def close(self):
        self.epoll.close()
