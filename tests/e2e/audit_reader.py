"""Reads and verifies an audit log with nothing of Hearth's: written from docs/formats/audit.md."""

import hashlib
import json
import pathlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NAME = re.compile(r"audit-(\d{20})\.jsonl")


class Damaged(Exception):
    pass


def check_signature(line, record):
    head, found, tail = line.rpartition(b',"sig":"')
    if not found or len(tail) != 130:
        raise Damaged(f"record {record['seq']} has no signature")
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(record["signer"]))
    try:
        key.verify(bytes.fromhex(record["sig"]), b"hearth audit checkpoint 1\n" + head + b"}")
    except InvalidSignature:
        raise Damaged(f"the signature of record {record['seq']} is wrong") from None


def lines_of(path):
    """(line, record) of each whole line, checked against the one before in this file."""
    seq = int(NAME.fullmatch(path.name)[1])
    previous = None
    out = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except ValueError:
            raise Damaged(f"{path.name}: record {seq} is no JSON") from None
        if record["seq"] != seq or previous not in (None, record["prev"]):
            raise Damaged(f"{path.name}: record {seq} does not follow")
        previous = hashlib.sha256(line).hexdigest()
        out.append((line, record, previous))
        seq += 1
    return out


def read(folder):
    """All records, in order; Damaged if the chain does not hold."""
    files = sorted(p for p in pathlib.Path(folder).iterdir() if NAME.fullmatch(p.name))
    chain = []
    for path in files:
        lines = lines_of(path)
        if not lines:
            continue
        first = lines[0][1]
        while chain and chain[-1][1]["seq"] >= first["seq"]:
            chain.pop()  # superseded
        if chain and (chain[-1][1]["seq"] + 1, chain[-1][2]) != (first["seq"], first["prev"]):
            raise Damaged(f"{path.name} does not follow")
        chain += lines
    records = [record for _, record, _ in chain]
    if records and records[0]["seq"] == 1 and records[0]["prev"] != "0" * 64:
        raise Damaged("record 1 follows on something")
    if len({record["instance"] for record in records}) > 1:
        raise Damaged("records of two instances")
    for line, record, _ in chain:
        if record["kind"] == "checkpoint" or "sig" in record:
            check_signature(line, record)
    return records
