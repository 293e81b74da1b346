#!/usr/bin/env python3
"""The include graph of src/ is what tools/layers.txt says.

- a folder may include only the folders on its line, each of a lower level: so there is no cycle;
- Boost (Beast, Asio) only in net/*.cc and net/ test files; OpenSSL and libsodium only in crypto/
  and net/; libcurl only in net/*.cc; zlib only in store/; prometheus-cpp only in api/*.cc.
"""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# prefix of a system header -> (allowed folders, whether only in .cc files)
LIBRARIES = {
    "boost/": ({"net"}, True),
    "openssl/": ({"crypto", "net"}, False),
    "sodium": ({"crypto", "net"}, False),
    "curl/": ({"net"}, True),
    "zlib.h": ({"store"}, True),
    "prometheus/": ({"api"}, True),
}


def read_layers(path):
    """{folder: (level, {allowed folders})}, and the errors of the file itself."""
    layers, errors = {}, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        level, name, allowed = int(words[0]), words[1], words[2:]
        for folder in allowed:
            if folder not in layers:
                errors.append(f"{path.name}:{number}: {name} may include the unknown {folder}")
            elif layers[folder][0] >= level:
                errors.append(f"{path.name}:{number}: {folder} is not of a lower level than {name}")
        layers[name] = (level, set(allowed))
    return layers, errors


def check_include(folder, is_header, quoted, header, layers):
    """What is wrong with this include, or None."""
    if not quoted:
        for prefix, (folders, only_cc) in LIBRARIES.items():
            if header.startswith(prefix):
                if folder not in folders:
                    return f"<{header}> belongs to {', '.join(sorted(folders))}"
                if only_cc and is_header:
                    return f"<{header}> must not be in a header"
        return None
    target = header.split("/", 1)[0]
    if target == folder or target == "testing":
        return None
    if target not in layers:
        return f'"{header}" does not start with a folder of src/'
    if target not in layers[folder][1]:
        return f"{folder}/ may not include {target}/"
    return None


def check_file(path, folder, layers):
    errors = []
    is_test = path.name.endswith(("_test.cc", "_fixture.h"))
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, header = match[1] == '"', match[2]
        if quoted and header.startswith("testing/") and not is_test:
            errors.append(f"{path}:{number}: only tests may include testing/")
            continue
        wrong = check_include(folder, path.suffix != ".cc", quoted, header, layers)
        if wrong:
            errors.append(f"{path}:{number}: {wrong}")
    return errors


def check(root):
    root = pathlib.Path(root)
    layers, errors = read_layers(root / "tools" / "layers.txt")
    for path in sorted((root / "src").rglob("*")):
        parts = path.relative_to(root / "src").parts
        if path.suffix not in (".h", ".cc", ".inc", ".cu") or len(parts) < 2:  # main.cc wires all
            continue
        if parts[0] not in layers:
            errors.append(f"{path}: the folder {parts[0]} is not in tools/layers.txt")
            continue
        errors += check_file(path, parts[0], layers)
    return errors


if __name__ == "__main__":
    found = check(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    print("\n".join(found) if found else "layers: ok")
    sys.exit(1 if found else 0)
