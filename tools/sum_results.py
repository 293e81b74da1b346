#!/usr/bin/env python3
"""Sums test results: every *.xml below the folders given (GoogleTest's and pytest's JUnit), and
ctest.junit, which tells of programs that died before they wrote their own.

Prints one line, "N passed, N failed, N skipped"; exit status 1 when something failed or nothing ran.
"""

import pathlib
import sys
import xml.etree.ElementTree as ET


def outcome(case):
    if any(child.tag in ("failure", "error") for child in case):
        return "failed"
    skipped = case.get("result") in ("skipped", "suppressed") or case.get("status") == "notrun"
    if skipped or any(child.tag == "skipped" for child in case):
        return "skipped"
    return "passed"


def sum_folder(folder):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    told = set()  # test programs that wrote results of their own
    for path in sorted(folder.glob("*.xml")):
        told.add(path.stem.removeprefix("hearth_").removesuffix("_test"))
        try:
            cases = ET.parse(path).getroot().iter("testcase")
        except ET.ParseError:  # the program died while it wrote
            counts["failed"] += 1
            continue
        for case in cases:
            counts[outcome(case)] += 1
    ctest = folder / "ctest.junit"
    if ctest.exists():
        for case in ET.parse(ctest).getroot().iter("testcase"):
            died = case.get("status") == "fail"
            if died and (case.get("name") not in told or counts["failed"] == 0):
                counts["failed"] += 1
    return counts


def main(folders):
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for folder in folders:
        for key, count in sum_folder(pathlib.Path(folder)).items():
            total[key] += count
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
