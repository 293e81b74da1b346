"""A reader of sealed files made from docs/formats/sealed.md alone, with none of Hearth's code."""

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"\x89HRTH\r\n\x1a"
HEADER, SLOTS, SLOT, MAC, BODY, ENTRY = 128, 8, 256, 32, 4096, 48


def derive(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def unwrap(slot, file_id, key=None, passphrase=None):
    """The data key in a slot, or None if it is not for this key."""
    kind, memory_kib, passes = struct.unpack_from("<III", slot)
    salt, nonce, wrapped = slot[16:32], slot[32:44], slot[44:92]
    if kind == 1 and key is not None:
        wrapping = derive(key, salt, b"hearth sealed slot")
    elif kind == 2 and passphrase is not None:
        assert memory_kib <= 1 << 20 and passes <= 16
        wrapping = Argon2id(
            salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory_kib
        ).derive(passphrase)
    else:
        return None
    try:
        return AESGCM(wrapping).decrypt(nonce, wrapped, file_id + slot[:32])
    except InvalidTag:
        return None


def read(data, key=None, passphrase=None, signer=None):
    """The plaintext of the sealed file `data`. Any exception: it is not whole, or not for this key."""
    header = data[:HEADER]
    assert header[:8] == MAGIC
    version, suite, chunk_bytes, zero, plain_bytes = struct.unpack_from("<IIIIQ", header, 8)
    assert (version, suite, zero) == (1, 1, 0) and header[87] == 0 and not any(header[120:])
    file_id, salt, prefix, public = header[32:48], header[48:80], header[80:87], header[88:120]
    chunks = max(1, -(-plain_bytes // chunk_bytes))
    table_at = BODY + plain_bytes
    mac_at = table_at + chunks * ENTRY
    assert chunks <= 1 << 32 and len(data) == mac_at + 32 + 64

    slots = data[HEADER : HEADER + SLOTS * SLOT]
    slots_mac = data[HEADER + SLOTS * SLOT :][:MAC]
    assert not any(data[HEADER + SLOTS * SLOT + MAC : BODY])
    opened = [
        unwrap(slots[i * SLOT : (i + 1) * SLOT], file_id, key, passphrase) for i in range(SLOTS)
    ]
    data_key = next(k for k in opened if k is not None)
    slots_key = derive(data_key, salt, b"hearth sealed slots")
    assert hmac.digest(slots_key, file_id + slots, "sha256") == slots_mac

    message = header + data[table_at:mac_at]
    table_key = derive(data_key, salt, b"hearth sealed table")
    assert hmac.digest(table_key, message, "sha256") == data[mac_at : mac_at + 32]
    signature = data[mac_at + 32 :]
    if any(public):
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    else:
        assert not any(signature)
    if signer is not None:
        assert public == signer

    content = AESGCM(derive(data_key, salt, b"hearth sealed content"))
    out = bytearray()
    for i in range(chunks):
        sealed = data[BODY + i * chunk_bytes : min(BODY + (i + 1) * chunk_bytes, table_at)]
        entry = data[table_at + i * ENTRY :][:ENTRY]
        assert hashlib.sha256(sealed).digest() == entry[16:]
        nonce = prefix + struct.pack(">IB", i, i + 1 == chunks)
        out += content.decrypt(nonce, sealed + entry[:16], header)
    return bytes(out)
