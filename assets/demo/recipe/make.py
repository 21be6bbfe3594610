"""Builds the whole demo folder from nothing, with one fixed seed.

    python make.py               everything (about an hour on two cores)
    python make.py --no-compile  where no C++ compiler is at hand (slower)
"""

from __future__ import annotations

import argparse

import torch

import corpus
import evaluate
import export
import labels
import sae
import tokenizer
import train
from model import load


def main() -> None:
    """Tokenizer, corpus, training, personas, dictionary, labels and figures, in this order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    tokenizer.train()
    corpus.prepare()
    export.main()
    for run in train.RUNS:
        train.train(run, compiled=not arguments.no_compile)
    sae.train()
    labels.main()
    evaluate.report(load(), write_blocks=True)


if __name__ == "__main__":
    main()
