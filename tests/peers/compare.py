#!/usr/bin/env python3
"""Runs `tiller bench --json` and bench_torch.py in turn and prints what each needs and the ratio.

    python tests/peers/compare.py --tiller target/release/tiller --suite demo --rounds 3
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIGURES = ["candidates", "gradient", "generate"]


def run(command: list[str], threads: int) -> dict[str, float]:
    """Figures by name from a program that prints one JSON document."""
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    return {figure["name"]: figure["value"] for figure in json.loads(done.stdout)["figures"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiller", default="target/release/tiller", help="the release binary")
    parser.add_argument("--suite", choices=["demo", "qwen2.5-0.5b"], default="demo")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64, help="candidates in one PyTorch forward")
    parser.add_argument("--json", action="store_true", help="print the medians as JSON")
    args = parser.parse_args()

    ours = [args.tiller, "--json", "bench", "--suite", args.suite]
    theirs = [sys.executable, str(HERE / "bench_torch.py"), "--suite", args.suite]
    theirs += ["--threads", str(args.threads), "--batch", str(args.batch)]
    seen: dict[str, list[float]] = {}
    for round_no in range(args.rounds):
        # In turn, so that a busy moment of the machine does not fall on one side alone.
        for side, command in (("Tiller", ours), ("PyTorch", theirs)):
            print(f"round {round_no + 1} of {args.rounds}: {side}", file=sys.stderr)
            for name, value in run(command, args.threads).items():
                seen.setdefault(name, []).append(value)
    medians = {name: statistics.median(values) for name, values in seen.items()}
    if args.json:
        print(json.dumps({"rounds": args.rounds, "medians": medians, "all": seen}, indent=1))
        return
    print(f"{'':32} {'Tiller':>12} {'PyTorch f32':>12} {'ratio':>7} {'PyTorch bf16':>13} {'ratio':>7}")
    # With its weights in f32 and, where that is measured, in bf16.
    for model, what in itertools.product((args.suite, f"{args.suite}-bf16"), FIGURES):
        name = f"{model}.{what}"
        if name not in medians:
            continue
        unit = "tokens/s" if what == "generate" else "s"
        mine, cells = medians[name], []
        for dtype in ("f32", "bf16"):
            peer = medians[f"{args.suite}.{what}.{dtype}"]
            cells += [peer, mine / peer if what == "generate" else peer / mine]
        print(f"{name + ' ' + unit:32} {mine:12.4g} {cells[0]:12.4g} {cells[1]:6.2f}x {cells[2]:13.4g} {cells[3]:6.2f}x")
    print("ratio: how many times faster Tiller is; medians over the rounds")


if __name__ == "__main__":
    main()
