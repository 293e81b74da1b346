"""How comparisons are written down: medians with their spread, ratios, a section of docs/benchmarks.md."""

import datetime
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(values: list[float]) -> str:
    return f"{figure(statistics.median(values))} ({figure(min(values))}-{figure(max(values))})"


def row(work: str, measured: dict[str, list[dict]]) -> str:
    ours = [r[work] for r in measured["hearth"]]
    line = f"| {work} | {spread(ours)} |"
    for name, rounds in measured.items():
        if name == "hearth":
            continue
        if work not in rounds[0]:
            line += " - | - |"
            continue
        theirs = [r[work] for r in rounds]
        ratios = [a / b for a, b in zip(ours, theirs)]
        ratio = statistics.median(ours) / statistics.median(theirs)
        line += f" {spread(theirs)} | **{ratio:.2f}** ({min(ratios):.2f}-{max(ratios):.2f}) |"
    return line


def write_section(title: str, section: str) -> None:
    """Into docs/benchmarks.md, in the place of an older one of the same title."""
    path = ROOT / "docs" / "benchmarks.md"
    text = path.read_text(encoding="utf-8")
    start = text.find(f"\n### {title}\n") + 1
    if start:  # up to the next heading
        end = text.find("\n#", start)
        after = text[end:] if end != -1 else ""
        text = text[:start] + section + after
    else:
        text = f"{text.rstrip()}\n\n{section}"
    path.write_text(text, encoding="utf-8")


def commit() -> str:
    shown = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return shown.stdout.strip()


def publish(title, machine, peers, what, measured, failed, after=(), write=False) -> None:
    """A section: peers are {name: version and settings}, measured {name: [{work: rate} of each round]}, hearth first."""
    measured = {name: rounds for name, rounds in measured.items() if name not in failed}
    shown = [name for name in measured if name != "hearth"]
    title = f"{title}, {machine['backend']}"  # other processors have sections of their own
    lines = [
        f"### {title}",
        "",
        f"{datetime.date.today()}, commit {commit()}. {machine['cpu']}; measured limits: "
        f"{machine['read_gb_s']:.0f} GB/s read, {machine['int8_tops']:.2f} int8 TOPS. "
        + "; ".join(f"{name}: {peers[name]}" for name in shown)
        + f". {what}",
        "",
        "| work | hearth | " + " | ".join(f"{name} | ratio" for name in shown) + " |",
        "|---|---|" + "---|---|" * len(shown),
        *(row(work, measured) for work in measured["hearth"][0]),
        *after,
        *(f"\nNot in the table: {name}, {reason}." for name, reason in failed.items()),
    ]
    section = "\n".join(lines) + "\n"
    print(section)
    if write:
        write_section(title, section)
