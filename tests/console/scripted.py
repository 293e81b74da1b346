"""Prepared answers: the first word of the last question says which."""

import json
import time

HOSTILE = """# Heading

<img src=x onerror="document.title='broken'"> and <script>document.title='broken'</script>

<iframe src="https://evil.example/"></iframe>

<div onclick="alert(1)" style="position:fixed">block</div>

[run](javascript:document.title='broken') [data](data:text/html,<script>1</script>)
[hidden](&#106;avascript:alert(1)) [tab](java&#9;script:alert(1)) [near](/admin)
[good](https://example.org/a?b=1&c=2 "title") <https://example.org/> [mail](mailto:a@example.org)
![a picture](https://tracker.example/pixel.png) ![bad](javascript:alert(1))

[ref]: javascript:alert(2)
[ref] and `code <b>bold</b>` & &lt;script&gt; &copy; &#0; <svg/onload=alert(1)> <style>*{display:none}</style>

| a <img src=x onerror=alert(1)> | b |
|---|--:|
| [x](vbscript:x) | **2** |

- [x] done
- [ ] <input onfocus=alert(1) autofocus>

> quote <form action=https://evil.example><button>go</button></form>

```html
<script>document.title='broken'</script>
```

~~gone~~ *em* **strong**<br>next

```js
unclosed(fence
"""

LONG_LINE = "x" * 20000 + "\n\n```\n" + "y" * 5000 + "\n```\n\n" + "|a" * 60 + "|\n" + "|-" * 60 + "|\n"

DEEP = ">" * 20000

GUIDE = """A **process** is a program with its own memory; a **thread** runs inside one.

### What differs

1. *Memory.* Threads of a process share it, processes do not.
2. *Failure.* A broken thread takes its process down; a broken process falls alone.
3. *Cost.* A thread starts in microseconds, a process takes longer.

| | Process | Thread |
|---|---|--:|
| Own address space | yes | no |
| Start, microseconds | 500 | 15 |

```python
import threading

def work(name):
    print(f"hello from {name}")

threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
```

> Prefer processes where isolation matters more than speed.

More in the [Python documentation](https://docs.python.org/3/library/threading.html).
"""

GUIDE_ZH = """**进程**拥有独立的内存空间；**线程**在进程内部运行，与同一进程的其他线程共享内存。

### 主要区别

1. *内存*：线程之间共享，进程之间相互隔离。
2. *故障*：一个线程崩溃会影响整个进程。
3. *开销*：创建线程比创建进程快得多。

```python
print("你好，世界")
```
"""

TEXTS = {"hostile": HOSTILE, "long": LONG_LINE, "deep": DEEP, "Explain": GUIDE, "解释进程和线程的区别": GUIDE_ZH}


def event(document):
    return f"data: {json.dumps(document)}\n\n"


def delta(text, finish=None):
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return event({"object": "chat.completion.chunk", "choices": [choice]})


def ending(tokens, finish="stop"):
    usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    return [delta("", finish), event({"choices": [], "usage": usage}), "data: [DONE]\n\n"]


def pieces(text, size=7):
    return [text[i : i + size] for i in range(0, len(text), size)]


def spoken(text, pause_s=0.002, size=7):
    parts = pieces(text, max(size, len(text) // 300))
    for part in parts:
        yield delta(part)
        time.sleep(pause_s)
    yield from ending(len(parts))


def error(code, message):
    return json.dumps({"error": {"message": message, "type": "x", "param": None, "code": code}})


def waiting(server, before, after):
    yield from (delta(part) for part in pieces(before))
    # Short steps, so that a reader who went away is noticed.
    while not server.go_on.wait(0.05):
        yield ": still here\n\n"
    yield from (delta(part) for part in pieces(after))
    yield from ending(12)


def broken(events):
    yield from (delta(part) for part in pieces("The first half of"))
    yield from events


REFUSALS = {
    "failed": (503, "engine_failed", "the engine has failed and is to be restarted"),
    "stopping": (503, "shutting_down", "the engine is stopping"),
    "overloaded": (503, "overloaded", "too many requests are waiting"),
    "forbidden": (403, "permission_denied", "this needs an administrator"),
    "large": (413, "body_too_large", "the request's body is too large"),
    "slow": (504, "deadline_exceeded", "the request's time is over"),
    "broken": (500, "internal_error", "internal error, request id req-1"),
}


def answer(request, server):
    """(status, headers, events): events None for a connection that ends without an answer."""
    question = request["messages"][-1]["content"]
    word = question.split()[0]
    if server.failures_left == 0 and word in ("busy", "context", "gone"):
        return 200, (), spoken("All is well again.")
    server.failures_left = max(0, server.failures_left - 1)
    if word == "busy":
        return 429, [("Retry-After", "2")], [error("queue_full", "too many requests are waiting")]
    if word == "context":
        return 400, (), [error("context_length_exceeded", "9000 tokens, and 8192 fit")]
    if word in REFUSALS:
        status, code, message = REFUSALS[word]
        return status, [("Retry-After", "1")], [error(code, message)]
    if word == "gone":
        return 0, (), None
    if word == "midstream":
        failure = error("internal_error", "internal error, request id req-1")
        return 200, (), broken([f"event: error\ndata: {failure}\n\n"])
    if word == "lost":
        return 200, (), broken([])
    if word == "nonsense":
        return 200, (), broken(["data: {not json\n\n"])
    if word == "wait":
        return 200, (), waiting(server, "One. Two.\n\nThree, four. ", "Five.\n\nSix.")
    if word == "tall":
        lines = "\n\n".join(f"Paragraph {i} of a tall answer." for i in range(60))
        return 200, (), waiting(server, lines, "\n\n" + lines)
    if word == "cut":
        return 200, (), [delta("Too lo"), *ending(2, "length")]
    if word == "split":
        # Bytes and line ends where they are least expected.
        text = "".join([delta("a\u4f60b"), delta("c")] + ending(2)).replace("\n", "\r\n")
        return 200, (), list(text)
    if word in TEXTS:
        return 200, (), spoken(TEXTS[word])
    count = len(server.requests)
    return 200, (), spoken(f"Answer {count} to “{question}”.")
