"""The model files that the comparison runs on, made where they are missing, under .cache/peers/files.

SmolLM2 comes from the store; its other kinds are made from that file by llama.cpp's own quantiser, so that the peer which
knows most kinds has chosen how they are mixed. Larger shapes have random weights (`hearth synth`): speed does not ask for
sense.
"""

import json
import os
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / ".cache" / "peers" / "files"
# llama.h: enum llama_ftype
FILE_TYPES = {"F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15}

QUANTIZE = """
import ctypes, sys
import llama_cpp.llama_cpp as lib
source, target, file_type = sys.argv[1:]
params = lib.llama_model_quantize_default_params()
params.ftype = int(file_type)
params.allow_requantize = True
params.nthread = 2
sys.exit(lib.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)))
"""


def stored(binary: str, name: str = "smollm2") -> pathlib.Path:
    subprocess.run([binary, "pull", name], check=True, stdout=sys.stderr)
    listed = json.loads(subprocess.run([binary, "list", "--json"], capture_output=True, text=True, check=True).stdout)
    return pathlib.Path(next(m["path"] for m in listed["models"] if m["name"] == name and m["current"]))


def made(name: str, make) -> pathlib.Path:
    path = FOLDER / name
    if not path.exists():
        print(f"making {name}", file=sys.stderr)
        FOLDER.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        make(os.fspath(unfinished))
        unfinished.rename(path)
    return path


def requantized(binary: str, kind: str, llama_python: pathlib.Path) -> pathlib.Path:
    source = stored(binary)

    def make(target):
        command = [llama_python, "-c", QUANTIZE, source, target, str(FILE_TYPES[kind])]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return made(f"SmolLM2-135M-Instruct.{kind}.gguf", make)


def synthetic(binary: str, shape: str, kind: str) -> pathlib.Path:
    def make(target):
        subprocess.run([binary, "synth", "--shape", shape, "--type", kind.lower(), target], check=True)

    return made(f"{shape}.{kind}.gguf", make)
