#!/usr/bin/env python3
"""What TLS costs a loaded server: the same load over http and over https, in alternation.

./dev bench tls_cost [--rounds N] [--clients N] [--max-tokens N]

Both servers are there all the time and one of them is asked. Servers and clients share the machine, so the clients' own share
of TLS is in the figure. A ratio is that of the medians, with the least and greatest of a round.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

from hearth_server import serving

ROOT = pathlib.Path(__file__).resolve().parent.parent


def load(options, url, ca, seed):
    command = [
        options.binary, "bench", "serve", url, "--json", "--ignore-eos", "--seed", str(seed),
        "-c", str(options.clients), "-n", str(options.requests), "--max-tokens", str(options.max_tokens),
        *(["--ca", ca] if url.startswith("https") else []),
    ]  # fmt: skip
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert report["errors"] == 0, report["first_errors"]
    return report["output_tok_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build" / "release" / "hearth"))
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([options.binary, "keys", "tls-selfsigned", folder], check=True, capture_output=True)
        ca = f"{folder}/cert.pem"
        tls = "--tls-cert", ca, "--tls-key", f"{folder}/key.pem"
        with (
            serving(options.binary, options.model, options.threads) as plain,
            serving(options.binary, options.model, options.threads, *tls) as secure,
        ):
            rates = {plain: [], secure: []}
            for number in range(options.rounds + 1):
                for url in (plain, secure) if number % 2 else (secure, plain):
                    rate = load(options, url, ca, number)
                    if number > 0:  # the first round warms up
                        rates[url].append(rate)
                        print(f"{url}: {rate:.0f} tokens/s", flush=True)
    rounds = [a / b for a, b in zip(rates[secure], rates[plain], strict=True)]
    ratio = statistics.median(rates[secure]) / statistics.median(rates[plain])
    print(f"https over http: {ratio:.3f} ({min(rounds):.3f}-{max(rounds):.3f})")


if __name__ == "__main__":
    main()
