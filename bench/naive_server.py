"""The server that one writes first: FastAPI around transformers, a request at a time. Prints its port when ready.

naive_server.py MODEL.gguf THREADS
POST /generate {"ids": [...], "max_tokens": n} -> {"ids": [...]}
"""

import os
import pathlib
import socket
import sys
import threading

import torch
import uvicorn
from fastapi import FastAPI
from transformers import AutoModelForCausalLM

path = pathlib.Path(sys.argv[1])
torch.set_num_threads(int(sys.argv[2]))
model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
app = FastAPI()
turn = threading.Lock()


@app.post("/generate")
def generate(request: dict) -> dict:
    ids = torch.tensor([request["ids"]])
    with turn, torch.inference_mode():
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False,
            max_new_tokens=request["max_tokens"], min_new_tokens=request["max_tokens"], pad_token_id=0,
        )  # fmt: skip
    return {"ids": out[0, ids.shape[1] :].tolist()}


listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
os.dup2(2, 1)  # what libraries print is no result
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
