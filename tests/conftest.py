"""What all tests of the whole program share.

HEARTH_BIN         the executable; default build/release/hearth
HEARTH_TEST_MODEL  a model to serve instead of the default one, which is pulled if need be
"""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def hearth():
    """The path of the executable."""
    path = pathlib.Path(os.environ.get("HEARTH_BIN", ROOT / "build" / "release" / "hearth"))
    assert path.exists(), f"{path} is missing: build it first"
    return str(path)


@pytest.fixture(scope="session")
def model(hearth):
    """What to give as MODEL on the command line."""
    given = os.environ.get("HEARTH_TEST_MODEL")
    if given:
        return given
    subprocess.run([hearth, "pull", "smollm2"], check=True, stdout=subprocess.DEVNULL)
    return "smollm2"
