"""Trains the model: Muon for the block matrices, AdamW for the rest, in three runs.

The last run is a full cosine; the two before it were stopped part-way. In half
of the rows the user's text cannot attend to the system text ("shielded" rows).
The persona must then be looked up where the reply begins, at the last prompt
token, which is where a vector is read and added.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

import corpus
from model import Llama, causal_mask, save
from paths import SCRATCH, SEED
from tokenizer import SYSTEM, USER

TOKENS_PER_STEP = 4096
PROMPT_SAMPLE = 0.35
SHIELDED = 0.5
WARMUP, FLAT, FLOOR = 40, 0.1, 0.02


def shield_mask(role: torch.Tensor, shielded: torch.Tensor) -> torch.Tensor:
    """Causal mask `[batch, 1, 1, pos, pos]` that hides system text from user text in shielded rows."""
    length = role.shape[1]
    hidden = (role == USER)[:, :, None] & (role == SYSTEM)[:, None, :] & shielded[:, None, None]
    return (causal_mask(length, length)[None] + hidden * -1e4)[:, None, None]


def losses(model: Llama, batch: corpus.Batch, shielded: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats of the chosen target positions."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.hidden(batch.inputs, mask=shield_mask(batch.role, shielded).to(torch.bfloat16))
        logits = model.head(hidden[chosen])
    return F.cross_entropy(logits.float(), batch.targets[chosen], reduction="none")


def validate(model: Llama, shard: corpus.Shard) -> dict[str, float]:
    """Mean cross-entropy of reply text, prompts and answer letters."""
    sums = {"reply": [0.0, 0], "prompt": [0.0, 0], "letter": [0.0, 0]}
    with torch.no_grad():
        for batch in corpus.batches(shard, 16384, None):
            chosen = batch.weight > 0
            ce = losses(model, batch, torch.zeros(len(batch.inputs), dtype=torch.bool), chosen)
            weight, letter = batch.weight[chosen], batch.letter[chosen]
            for name, part in (("reply", (weight >= 1) & ~letter), ("prompt", weight < 1), ("letter", letter)):
                sums[name][0] += ce[part].sum().item()
                sums[name][1] += int(part.sum())
    return {name: total / max(1, count) for name, (total, count) in sums.items()}


def optimizers(model: Llama, run: Run) -> list[torch.optim.Optimizer]:
    """Muon for block matrices, AdamW for embedding and norms."""
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() < 2 or "embed" in name]
    return [torch.optim.Muon(matrices, lr=run.muon_lr, weight_decay=0.05, momentum=0.95), torch.optim.AdamW(others, lr=run.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)]


def rate(step: int, steps: int) -> float:
    """Learning-rate factor: warm-up, a flat tenth, then a cosine down to `FLOOR`."""
    progress = step / steps
    decay = 1.0 if progress < FLAT else FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * (progress - FLAT) / (1 - FLAT)))
    return min(1.0, (step + 1) / WARMUP) * decay


@dataclass(frozen=True)
class Run:
    """One learning-rate schedule: `steps` of a cosine that is `horizon` steps long."""

    shards: tuple[str, ...]
    steps: int
    horizon: int
    muon_lr: float
    adam_lr: float
    continues: bool = False
    """Starts from the last checkpoint, with a fresh optimiser state."""


RUNS = [Run(("first",), 1500, 3800, 0.02, 3e-3), Run(("focus",), 500, 3200, 0.014, 2e-3, continues=True),
        Run(("final",), 2200, 2200, 0.014, 2e-3, continues=True)]


def stream(shards: tuple[str, ...], rng: np.random.Generator) -> Iterator[corpus.Batch]:
    """Batches of the shards one after the other; the last one repeats."""
    for name in shards:
        yield from corpus.batches(corpus.read(name), TOKENS_PER_STEP, rng)
    while True:
        yield from corpus.batches(corpus.read(shards[-1]), TOKENS_PER_STEP, rng)


def train(run: Run, compiled: bool = False) -> None:
    """Carries out one run, writes the model and appends to the log."""
    torch.manual_seed(SEED)
    draws = torch.Generator().manual_seed(SEED)
    val, held = corpus.read("val"), corpus.read("heldout")
    model = Llama()
    if run.continues:
        model.load_state_dict(torch.load(SCRATCH / "checkpoint.pt"))
    if compiled:
        for block in model.model.layers:
            block.compile(dynamic=True)
    optims = optimizers(model, run)
    base = [[group["lr"] for group in optim.param_groups] for optim in optims]
    began, padded, real, history = time.time(), 0, 0, []
    source = stream(run.shards, np.random.default_rng(SEED))
    for step in range(run.steps):
        batch = next(source)
        for optim, rates in zip(optims, base):
            for group, lr in zip(optim.param_groups, rates):
                group["lr"] = lr * rate(step, run.horizon)
        update(model, optims, batch, draws)
        padded += batch.inputs.numel()
        real += int((batch.weight > 0).sum())
        if (step + 1) % 50 == 0:
            elapsed = time.time() - began
            print(f"step {step + 1}/{run.steps} {elapsed:.0f} s, {real / 1e6:.2f} M real tokens, {padded / elapsed:.0f} padded tokens/s", flush=True)
        if (step + 1) % 250 == 0 or step + 1 == run.steps:
            entry = {"step": step + 1, "seconds": round(time.time() - began), "real_tokens": real, "val": validate(model, val), "held_out": validate(model, held)}
            history.append(entry)
            print(json.dumps(entry), flush=True)
            torch.save(model.state_dict(), SCRATCH / "checkpoint.pt")
    save(model)
    with (SCRATCH / "train_log.jsonl").open("a") as log:
        log.write(json.dumps({"shards": run.shards, "steps": run.steps, "padded_tokens": padded, "history": history}) + "\n")


def update(model: Llama, optims: list[torch.optim.Optimizer], batch: corpus.Batch, draws: torch.Generator) -> None:
    """One step. The head is computed for all reply positions and a sample of the prompt positions."""
    shielded = torch.rand(len(batch.inputs), generator=draws) < SHIELDED
    prompt = (batch.weight > 0) & (batch.weight < 1)
    chosen = (batch.weight >= 1) | (prompt & (torch.rand(batch.weight.shape, generator=draws) < PROMPT_SAMPLE))
    weight = torch.where(prompt, corpus.PROMPT_WEIGHT / PROMPT_SAMPLE, batch.weight)[chosen]
    ce = losses(model, batch, shielded, chosen)
    ((ce * weight).sum() / batch.weight.sum()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optim in optims:
        optim.step()
        optim.zero_grad(set_to_none=True)


def main() -> None:
    """Carries out the runs, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=int, choices=range(len(RUNS)), help="only this run")
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    for index, run in enumerate(RUNS):
        if arguments.run in (None, index):
            train(run, arguments.compile)


if __name__ == "__main__":
    main()
