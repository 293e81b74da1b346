"""The peers: how each is installed, into an environment of its own under .cache/peers, and how its driver is run."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".cache" / "peers"
PEERS = {  # name: (package, what else it needs, driver and its arguments)
    "llama.cpp": ("llama-cpp-python", ["numpy"], ["peer_llama.py", "llama_cpp.llama_cpp"]),
    "ik_llama.cpp": ("ik-llama-cpp-python", ["numpy"], ["peer_llama.py", "ik_llama_cpp._ctypes_api"]),
    "openvino": ("openvino-genai", ["numpy"], ["peer_openvino.py"]),
    # What a processor without AVX-512 would get of it.
    "llama.cpp-avx2": ("llama-cpp-python", ["numpy"], ["peer_llama.py", "llama_cpp.llama_cpp"]),
    "naive": ("transformers", ["torch", "gguf", "accelerate", "fastapi", "uvicorn"], ["peer_naive.py"]),
}
PATIENCE_S = 3600  # for all the work of a peer in a round
FROM_SOURCE = ("llama-cpp-python", "ik-llama-cpp-python")
AVX2_ONLY = "-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_AVX512=OFF"


def python_of(name: str) -> pathlib.Path:
    return ENVIRONMENTS / name / "bin" / "python"


def unpack_source(python: pathlib.Path, package: str, folder: str) -> str:
    """The package's source, made ready for building; the folder it is in."""
    subprocess.run(
        [python, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", package, "-d", folder, package], check=True
    )
    archive = next(pathlib.Path(folder).glob("*.tar.gz"))
    shutil.unpack_archive(archive, folder)
    source = pathlib.Path(folder) / archive.name.removesuffix(".tar.gz")
    # The archive lacks this script, which only tells which build it is.
    for template in source.glob("vendor/*/common/build-info.cpp.in"):
        script = template.parent / "cmake" / "build-info-gen-cpp.cmake"
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            "set(BUILD_NUMBER 0)\nset(BUILD_COMMIT pypi)\nset(BUILD_COMPILER cc)\nset(BUILD_TARGET here)\n"
            'configure_file("${CMAKE_CURRENT_LIST_DIR}/../build-info.cpp.in"'
            ' "${CMAKE_CURRENT_LIST_DIR}/../build-info.cpp")\n'
        )
    return str(source)


def install(name: str) -> str:
    """The version that is there now."""
    package, others, _ = PEERS[name]
    python = python_of(name)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    show = [python, "-m", "pip", "show", package]
    shown = subprocess.run(show, capture_output=True, text=True)
    if shown.returncode != 0:
        print(f"installing {package}", file=sys.stderr)
        pip = [python, "-m", "pip", "install", "-q"]
        if package == "ik-llama-cpp-python":
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([*pip, unpack_source(python, package, folder), *others], check=True)
        elif package in FROM_SOURCE:
            settings = {"CMAKE_ARGS": AVX2_ONLY} if name.endswith("-avx2") else {}
            if "amx_tile" in pathlib.Path("/proc/cpuinfo").read_text():
                # GCC 12 leaves out what is written into the configuration of tiles: it crashes.
                settings |= {"CC": "clang-19", "CXX": "clang++-19"}
            # pip keeps what it has built, for whichever processor that was.
            subprocess.run(
                [*pip, "--no-cache-dir", "--no-binary", package, package, *others], check=True, env=os.environ | settings
            )
        else:  # without pip's cache: PyTorch and its libraries would stay there, some gigabytes
            subprocess.run([*pip, "--no-cache-dir", package, *others], check=True)
        shown = subprocess.run(show, capture_output=True, text=True, check=True)
    return next(line.split()[1] for line in shown.stdout.splitlines() if line.startswith("Version:"))


def install_all(names, only: str | None) -> tuple[dict, dict]:
    """The versions of those that are wanted and there, and why others are not. only: names with commas, or all."""
    versions = {}
    failed = {}
    for name in names:
        if only and name not in only.split(","):
            continue
        try:
            versions[name] = install(name)
        except subprocess.CalledProcessError as error:
            failed[name] = f"cannot be installed: {error}"
    return versions, failed


def in_turn(rounds: int, names, failed: dict, run) -> None:
    """run(name, number of the round) for all, each round in another order.

    A peer that raises RuntimeError is left out from then on.
    """
    names = list(names)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            if name in failed:
                continue
            begin = time.monotonic()
            try:
                run(name, number)
            except RuntimeError as error:
                if name == "hearth":
                    raise
                failed[name] = str(error)
            print(f"round {number + 1} of {rounds}: {name}, {time.monotonic() - begin:.0f} s", file=sys.stderr)


def drive(name: str, job: dict) -> dict:
    """What the peer's driver reports of the job (peer_job.py); RuntimeError with the reason if it does not work."""
    python = python_of(name)
    driver, *arguments = PEERS[name][2]
    # One of them does not find its own libraries.
    libraries = ":".join(map(str, python.parent.parent.glob("lib/python*/site-packages/*/lib")))
    try:
        done = subprocess.run(
            [python, HERE / driver, *arguments], input=json.dumps(job), capture_output=True, text=True,
            env=os.environ | {"LD_LIBRARY_PATH": libraries}, timeout=PATIENCE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {PATIENCE_S} s") from None
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it failed silently")
    return json.loads(done.stdout[done.stdout.index('{"settings"') :])
