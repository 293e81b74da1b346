"""Identities and keys of a test's server, made as `hearth keys create` makes them."""

import hashlib
import hmac
import json
import pathlib
import secrets


class Site:
    """toml() is what stands in the server's configuration; its secret lies beside."""

    def __init__(self, folder):
        self.secret = secrets.token_bytes(32)
        self.path = pathlib.Path(folder) / f"site-{secrets.token_hex(4)}.key"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        self.path.write_text(self.secret.hex() + "\n")
        self.identities = {}
        self.keys = []

    def add(self, identity, *roles, expires="", scopes=(), **settings):
        """A new key's text. The identity is made with the first of its keys."""
        self.identities.setdefault(identity, {"roles": list(roles), **settings})
        key_id = secrets.token_hex(8)
        key = f"hk_{key_id}_{secrets.token_hex(32)}"
        entry = {
            "id": key_id,
            "identity": identity,
            "hash": hmac.new(self.secret, key.encode(), hashlib.sha256).hexdigest(),
        }
        if expires:
            entry["expires"] = expires
        if scopes:
            entry["roles"] = list(scopes)
        self.keys.append(entry)
        return key

    def toml(self):
        # Texts, numbers, truth values and lists of texts are the same in JSON and TOML.
        lines = ["[security]", f"site_secret = {json.dumps(f'file:{self.path}')}"]
        for name, settings in self.identities.items():
            lines += ["[[identities]]", f"name = {json.dumps(name)}"]
            lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        for entry in self.keys:
            lines.append("[[keys]]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
        return "\n".join(lines) + "\n"
