#!/usr/bin/env python3
"""Draws docs/tuner.svg: both modes of the tuner on one simulated engine.

    plot_tuner.py TRACE_PROGRAM [SVG]     TRACE_PROGRAM: build/release/bench/tuner_trace
"""

import csv
import itertools
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTH, LEFT, RIGHT = 860, 58, 24
PLOT = WIDTH - LEFT - RIGHT
TOP, PANEL, GAP = 66, 170, 44
HEIGHT = TOP + 2 * PANEL + GAP + 44
TARGET_MS = 250
COLOURS = {"rule": "#c2571a", "slo": "#1f6fb4"}
NAMES = {"rule": "rule: 30 % / 80 % utilisation", "slo": "slo: 250 ms a token"}


def text(x, y, words, size=12, anchor="start", fill="#333", more=""):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"'
        f"{more}>{words}</text>"
    )


def line(x1, y1, x2, y2, stroke, more=""):
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{more}/>'
    )


class Panel:
    def __init__(self, title, top, most, step, seconds):
        self.title, self.top, self.most, self.step, self.seconds = title, top, most, step, seconds

    def x(self, second):
        return LEFT + PLOT * second / self.seconds

    def y(self, value):
        return self.top + PANEL * (1 - min(value, self.most) / self.most)

    def frame(self):
        out = [text(LEFT, self.top - 8, self.title, 13, more=' font-weight="bold"')]
        for value in range(0, self.most + 1, self.step):
            out.append(line(LEFT, self.y(value), LEFT + PLOT, self.y(value), "#e4e4e4"))
            out.append(text(LEFT - 6, self.y(value) + 4, value, 11, "end"))
        for second in range(0, self.seconds + 1, 120):
            out.append(text(self.x(second), self.top + PANEL + 15, second, 11, "middle"))
        return out

    def curve(self, points, colour, width, more=""):
        """Only where the value changes or turns: the picture is the same, the file a fraction."""
        kept = [
            point
            for i, point in enumerate(points)
            if i in (0, len(points) - 1)
            or not points[i - 1][1] == point[1] == points[i + 1][1]
        ]
        path = " ".join(f"{self.x(second):.1f},{self.y(value):.1f}" for second, value in kept)
        return (
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"'
            f' stroke-linejoin="round"{more}/>'
        )


def phases(rows):
    """[(name, first second, end)]"""
    found = []
    for row in rows:
        second = int(row["second"])
        if not found or found[-1][0] != row["phase"]:
            found.append([row["phase"], second, second])
        found[-1][2] = second + 1
    return found


def draw(rows):
    by_mode = {mode: [row for row in rows if row["mode"] == mode] for mode in COLOURS}
    seconds = len(by_mode["slo"])
    running = Panel("sequences: limit (thick) and running (thin)", TOP, 300, 100, seconds)
    tpot = Panel("time per token, P95, ms", TOP + PANEL + GAP, 800, 200, seconds)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for i, (name, first, end) in enumerate(phases(by_mode["slo"])):
        left, right = running.x(first), running.x(end)
        if i % 2:
            for panel in (running, tpot):
                out.append(
                    f'<rect x="{left:.1f}" y="{panel.top}" width="{right - left:.1f}"'
                    f' height="{PANEL}" fill="#f4f4f0"/>'
                )
        out.append(text((left + right) / 2, TOP + 14, name, 11, "middle", "#777"))
    for panel in (running, tpot):
        out += panel.frame()
    for mode, colour in COLOURS.items():
        data = by_mode[mode]
        for column, width, more in (
            ("running", 1, ' stroke-opacity="0.7"'),
            ("running_limit", 2.5, ""),
        ):
            points = [(int(row["second"]), float(row[column])) for row in data]
            out.append(running.curve(points, colour, width, more))
        for some, part in itertools.groupby(data, lambda row: float(row["tpot_ms"]) > 0):
            if some:
                points = [(int(row["second"]), float(row["tpot_ms"])) for row in part]
                out.append(tpot.curve(points, colour, 1.5))
    y = tpot.y(TARGET_MS)
    out.append(line(LEFT, y, LEFT + PLOT, y, "#222", ' stroke-dasharray="6 4"'))
    out.append(text(LEFT + 4, y - 5, "target", 11))
    x = LEFT
    for mode, colour in COLOURS.items():
        out.append(line(x, 20, x + 26, 20, colour, ' stroke-width="3"'))
        out.append(text(x + 32, 24, NAMES[mode]))
        x += 240
    out.append(text(LEFT + PLOT, HEIGHT - 10, "seconds", 11, "end"))
    return "\n".join([*out, "</svg>", ""])


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.strip())
    trace = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout
    target = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else ROOT / "docs" / "tuner.svg"
    target.write_text(draw(list(csv.DictReader(trace.splitlines()))), encoding="utf-8")


if __name__ == "__main__":
    main()
