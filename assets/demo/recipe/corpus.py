"""Token shards and length-bucketed batches with loss weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
import torch

from generator import conversation, render
from paths import SCRATCH, SEED
from talk import FINAL, FIRST, FOCUS, Mix
from tokenizer import ASSISTANT, END, LETTER_IDS, SYSTEM, USER, load

BUCKETS = [32, 48, 64, 80, 96, 112, 128, 160, 192, 256, 320]
PROMPT_WEIGHT = 0.3
LETTER_WEIGHT = 4.0
N_EVAL = 1500


@dataclass
class Shard:
    """Conversations laid end to end. `role` is the token that opened each position's message."""

    ids: np.ndarray
    starts: np.ndarray
    role: np.ndarray
    weight: np.ndarray
    letter: np.ndarray


@dataclass
class Batch:
    """Right-padded rows: inputs, targets, target weights and masks, all `[batch, pos]`."""

    inputs: torch.Tensor
    targets: torch.Tensor
    weight: torch.Tensor
    letter: torch.Tensor
    role: torch.Tensor


def encode(n: int, seed: int, held_out: bool, mix: Mix) -> Shard:
    """Draws `n` conversations and encodes them."""
    rng, tokenizer = Random(seed), load()
    ids: list[int] = []
    starts = [0]
    for begin in range(0, n, 10_000):
        texts = [render(*conversation(rng, held_out, mix)) for _ in range(min(10_000, n - begin))]
        for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
            ids.extend(encoding.ids)
            starts.append(len(ids))
    return _with_weights(np.array(ids, np.uint16), np.array(starts, np.int64))


def _with_weights(ids: np.ndarray, starts: np.ndarray) -> Shard:
    opens = np.isin(ids, [SYSTEM, USER, ASSISTANT])
    last_open = np.maximum.accumulate(np.where(opens, np.arange(len(ids)), 0))
    role = np.where(ids[last_open] <= ASSISTANT, ids[last_open], 0).astype(np.uint8)
    role[starts[:-1]] = 0
    weight = np.where(role == ASSISTANT, 1.0, PROMPT_WEIGHT).astype(np.float32)
    letter = (role == ASSISTANT) & np.isin(ids, LETTER_IDS)
    weight[letter] = LETTER_WEIGHT
    weight[ids == ASSISTANT] = 0.0
    return Shard(ids, starts, role, weight, letter)


@dataclass(frozen=True)
class Stage:
    """A stage of the curriculum: its material and its steps under one learning-rate schedule."""

    name: str
    mix: Mix
    conversations: int
    seed: int


STAGES = [Stage("first", FIRST, 250_000, 1), Stage("focus", FOCUS, 105_000, 2), Stage("final", FINAL, 150_000, 3)]


def prepare(stages: list[Stage] = STAGES) -> None:
    """Writes the training shards and the two evaluation shards to the scratch folder."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    plans = [(s.name, s.conversations, s.seed, False, s.mix) for s in stages] + [("val", N_EVAL, 11, False, FINAL), ("heldout", N_EVAL, 12, True, FINAL)]
    for name, count, offset, held_out, mix in plans:
        shard = encode(count, SEED * 1000 + offset, held_out, mix)
        np.savez(SCRATCH / f"{name}.npz", ids=shard.ids, starts=shard.starts)
        lengths = np.diff(shard.starts)
        print(f"{name}: {count} conversations, {len(shard.ids)} tokens, mean {lengths.mean():.1f}, longest {lengths.max()}", flush=True)


def read(name: str) -> Shard:
    """Reads a shard from the scratch folder."""
    data = np.load(SCRATCH / f"{name}.npz")
    return _with_weights(data["ids"], data["starts"])


def batches(shard: Shard, tokens: int, rng: np.random.Generator | None) -> Iterator[Batch]:
    """Batches of about `tokens` padded tokens; shuffled when `rng` is given."""
    lengths = np.diff(shard.starts)
    waiting: list[list[int]] = [[] for _ in BUCKETS]
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    for row in order:
        bucket = next((i for i, size in enumerate(BUCKETS) if size >= lengths[row] - 1), None)
        if bucket is None:
            continue
        waiting[bucket].append(int(row))
        if len(waiting[bucket]) >= tokens // BUCKETS[bucket]:
            yield _collate(shard, waiting[bucket], BUCKETS[bucket])
            waiting[bucket] = []
    if rng is None:
        for rows, size in zip(waiting, BUCKETS):
            if rows:
                yield _collate(shard, rows, size)


def _collate(shard: Shard, rows: list[int], size: int) -> Batch:
    inputs, targets = np.zeros((len(rows), size), np.int64), np.zeros((len(rows), size), np.int64)
    weight, letter, role = np.zeros((len(rows), size), np.float32), np.zeros((len(rows), size), bool), np.zeros((len(rows), size), np.uint8)
    for i, row in enumerate(rows):
        begin, end = shard.starts[row], shard.starts[row + 1]
        n = end - begin - 1
        inputs[i, :n], targets[i, :n] = shard.ids[begin:end - 1], shard.ids[begin + 1:end]
        weight[i, :n], letter[i, :n], role[i, :n] = shard.weight[begin + 1:end], shard.letter[begin + 1:end], shard.role[begin:end - 1]
    return Batch(*(torch.from_numpy(array) for array in (inputs, targets, weight, letter, role)))
