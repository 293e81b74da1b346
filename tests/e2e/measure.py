"""What a process uses, and what other programs take from it meanwhile."""

import math
import os
import pathlib
import re
import resource
import time

import requests


def memory(pid, field):
    """Bytes, of a field of /proc/PID/status."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE).group(1)) * 1024


def anonymous(pid):
    """Bytes of memory that no file stands behind, swapped out or not."""
    return memory(pid, "RssAnon") + memory(pid, "VmSwap")


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def cpu_s(pid):
    """Seconds of processor time so far."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def metric(server, name, label=None):
    """The sum over all series of that name, or over those with a label, as code="queue_full" is one.

    None where the server has no /metrics.
    """
    answer = requests.get(server.url + "/metrics", timeout=30)
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200
    labels = rf"{{[^}}]*{re.escape(label)}[^}}]*}}" if label else r"(?:{[^}]*})?"
    values = re.findall(rf"^{name}{labels} (\S+)$", answer.text, re.MULTILINE)
    assert values, f"no {name} {label or ''} in /metrics"
    return sum(map(float, values))


def pages_used(server):
    """Of the cache of keys and values; None where the server does not tell."""
    return metric(server, "hearth_kv_pages_used")


def settled(server, wanted=None):
    """Its descriptors, threads and pages, as soon as they are `wanted`, or do not change any more.

    Connections that were just closed may take a moment to be seen, that of /metrics too.
    """
    deadline = time.monotonic() + 10
    before = None
    while True:
        now = {
            "descriptors": server.descriptors(),
            "threads": threads(server.process.pid),
            "pages": pages_used(server),
        }
        as_it_should_be = now == (before if wanted is None else wanted)
        if as_it_should_be or time.monotonic() > deadline:
            return now
        before = now
        time.sleep(0.2)


def wait_idle(server, at_most):
    """Until the server computes nothing; a decoding one uses all the time it can get.

    Seconds until the first of three quiet moments in a row, as other programs may stop it for one.
    """
    pid = server.process.pid
    begin = time.monotonic()
    quiet_since, quiet = begin, 0
    while quiet < 3:
        assert quiet_since - begin < at_most, "the server still computes"
        before = cpu_s(pid)
        time.sleep(0.2)
        if cpu_s(pid) - before <= 0.01:  # the clock's own step
            quiet += 1
        else:
            quiet_since, quiet = time.monotonic(), 0
    return quiet_since - begin


def between(ratios):
    """Where their median is, with at least 90 % confidence: between two of them, by the binomial
    distribution alone, however they are distributed."""
    ratios, count = sorted(ratios), len(ratios)
    outside, below = 0, 0.0
    while True:
        below += math.comb(count, outside) / 2**count
        if 2 * below > 0.1:
            break
        outside += 1
    assert outside > 0, "too few"
    return ratios[outside - 1], ratios[count - outside]


class Others:
    """The share of the machine that went to other programs, and to other guests of its host.

    Ours are this process, its children that have ended, and `processes`.
    """

    def __init__(self, *processes):
        self.pids = [process.pid for process in processes]
        self.tick = os.sysconf("SC_CLK_TCK")
        self.begin = self.now()

    def now(self):
        ticks = [int(field) for field in pathlib.Path("/proc/stat").read_text().split()[1:9]]
        waiting = ticks[3] + ticks[4]  # idle, iowait
        busy = sum(ticks) - waiting
        finished = resource.getrusage(resource.RUSAGE_CHILDREN)  # bench engine
        own = time.process_time() + finished.ru_utime + finished.ru_stime
        own += sum(map(cpu_s, self.pids))
        return busy / self.tick - own, (busy + waiting) / self.tick

    def share(self):
        others, whole = (now - begin for now, begin in zip(self.now(), self.begin, strict=True))
        return others / whole
