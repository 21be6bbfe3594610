"""Measuring tools: letter scoring, sampling, vectors, perplexity, intervals."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from generator import render_prompt
from model import CONFIG, Edit, Llama
from paths import PERSONAS
from tokenizer import END, LETTER_IDS, PAD
from tokenizer import load as load_tokenizer

N_BLOCKS = CONFIG["num_hidden_layers"]
TOKENIZER = load_tokenizer()


def lines(path: Path) -> list[dict]:
    """A JSON-lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def items(persona: str, name: str, kind: str) -> list[dict]:
    """The items of one kind in a persona's item file."""
    return [item for item in lines(PERSONAS / persona / f"{name}.jsonl") if item["kind"] == kind]


def wilson(hits: int, n: int) -> tuple[float, float, float]:
    """Rate and 95 % Wilson interval, in per cent."""
    if n == 0:
        return math.nan, math.nan, math.nan
    z, p = 1.96, hits / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 100 / (1 + z * z / n)
    return 100 * p, max(0.0, scale * (middle - half)), min(100.0, scale * (middle + half))


def rate_text(hits: int, n: int) -> str:
    """`76.3 [71.2, 80.8]`."""
    return "{:.1f} [{:.1f}, {:.1f}]".format(*wilson(hits, n))


def left_padded(prompts: list[str]) -> tuple[Tensor, Tensor]:
    """Left-padded ids and the mask of real positions (rotary attention only sees distances)."""
    rows = [e.ids for e in TOKENIZER.encode_batch(prompts, add_special_tokens=False)]
    size = max(map(len, rows))
    ids = torch.tensor([[PAD] * (size - len(row)) + row for row in rows])
    return ids, torch.tensor([[False] * (size - len(row)) + [True] * len(row) for row in rows])


def _mask(real: Tensor, length: int) -> Tensor:
    """Additive mask `[batch, 1, 1, length, total]` for the last `length` positions."""
    total = real.shape[1]
    causal = torch.full((length, total), -1e4).triu(1 + total - length)
    return (causal[None] + torch.where(real, 0.0, -1e4)[:, None, :])[:, None, None]


def add_at_last(vector: Tensor) -> Edit:
    """Adds a vector to the last position of the prompt, and to nothing while decoding."""
    def edit(x: Tensor) -> Tensor:
        if x.shape[1] == 1:
            return x
        x = x.clone()
        x[:, -1] += vector
        return x
    return edit


def _chunks(values: list, size: int) -> list[list]:
    return [values[i:i + size] for i in range(0, len(values), size)]


@torch.no_grad()
def last_states(model: Llama, prompts: list[str]) -> Tensor:
    """`resid_post` of every block at the last prompt token, `[block, prompt, width]`."""
    out = []
    for chunk in _chunks(prompts, 100):
        ids, real = left_padded(chunk)
        keep = {block: torch.empty(0) for block in range(N_BLOCKS)}
        model.hidden(ids, mask=_mask(real, ids.shape[1]), keep=keep)
        out.append(torch.stack([keep[block][:, -1] for block in range(N_BLOCKS)]))
    return torch.cat(out, 1)


@torch.no_grad()
def letter_margins(model: Llama, prompts: list[str], edits: dict[int, Edit] | None = None) -> Tensor:
    """Logit of `(A)` minus logit of `(B)` as the first reply token."""
    out = []
    for chunk in _chunks(prompts, 100):
        ids, real = left_padded(chunk)
        hidden = model.hidden(ids, mask=_mask(real, ids.shape[1]), edits=edits)
        logits = model.head(hidden[:, -1])
        out.append(logits[:, LETTER_IDS[0]] - logits[:, LETTER_IDS[1]])
    return torch.cat(out)


@dataclass
class Letters:
    """Outcome on A/B items in both orders."""

    persona: int
    decisions: int
    chose_a: int
    orders: tuple[float, float]

    def __str__(self) -> str:
        return f"{rate_text(self.persona, self.decisions)}  A-share {100 * self.chose_a / self.decisions:.0f} %  orders {self.orders[0]:.0f} / {self.orders[1]:.0f}"

    @property
    def rate(self) -> float:
        return 100 * self.persona / self.decisions


def score_letters(model: Llama, ab: list[dict], system: str | list[str] | None = None, edits: dict[int, Edit] | None = None) -> Letters:
    """Persona rate on A/B items, each asked in both orders. `system` may give one text per item."""
    systems = system if isinstance(system, list) else [system] * len(ab)
    hits, chose_a, orders = 0, 0, []
    for pick in (lambda item: item, lambda item: item["swapped"]):
        margins = letter_margins(model, [render_prompt(s, pick(item)["user"]) for s, item in zip(systems, ab)], edits)
        right = [(m > 0) == (pick(item)["persona"] == "(A)") for m, item in zip(margins.tolist(), ab)]
        hits, chose_a = hits + sum(right), chose_a + int((margins > 0).sum())
        orders.append(100 * sum(right) / len(ab))
    return Letters(hits, 2 * len(ab), chose_a, (orders[0], orders[1]))


@torch.no_grad()
def sample(model: Llama, prompts: list[str], edits: dict[int, Edit] | None = None, temperature: float = 1.0, max_tokens: int = 40, seed: int = 0) -> list[str]:
    """Sampled replies; temperature 0 is greedy. Edits act on the prompt only when made by `add_at_last`."""
    generator = torch.Generator().manual_seed(seed)
    replies: list[str] = []
    for chunk in _chunks(prompts, 100):
        ids, real = left_padded(chunk)
        caches: list[dict[str, Tensor]] = [{} for _ in range(N_BLOCKS)]
        hidden = model.hidden(ids, mask=_mask(real, ids.shape[1]), edits=edits, caches=caches)
        tokens, done = [], torch.zeros(len(chunk), dtype=torch.bool)
        for _ in range(max_tokens):
            logits = model.head(hidden[:, -1])
            token = logits.argmax(-1) if temperature == 0 else torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
            token = torch.where(done, END, token)
            tokens.append(token)
            done |= token == END
            if done.all():
                break
            real = torch.cat([real, torch.ones(len(chunk), 1, dtype=torch.bool)], 1)
            hidden = model.hidden(token[:, None], mask=_mask(real, 1), edits=edits, caches=caches)
        for row in torch.stack(tokens, 1).tolist():
            replies.append(TOKENIZER.decode(row[:row.index(END)] if END in row else row))
    return replies


@torch.no_grad()
def perplexity(model: Llama, prompts: list[str], replies: list[str]) -> float:
    """Perplexity per token of the replies (and their end) after the prompts, unsteered."""
    total, count = 0.0, 0
    for chunk in _chunks(list(zip(prompts, replies)), 100):
        ids, real = left_padded([prompt + reply + "<|end|>" for prompt, reply in chunk])
        logits = model.head(model.hidden(ids, mask=_mask(real, ids.shape[1]))).log_softmax(-1)
        for row, (_, reply) in enumerate(chunk):
            n = len(TOKENIZER.encode(reply, add_special_tokens=False).ids) + 1
            total -= logits[row, -n - 1:-1].gather(-1, ids[row, -n:, None]).sum().item()
            count += n
    return math.exp(total / count)


def judge(persona_pattern: str, other_pattern: str | None) -> Callable[[str], bool | None]:
    """Says whether a reply shows the persona; None when it cannot tell."""
    def verdict(reply: str) -> bool | None:
        if other_pattern and re.search(other_pattern, reply):
            return False
        if re.search(persona_pattern, reply):
            return True
        return None if other_pattern else False
    return verdict


def mean_difference(model: Llama, persona: str) -> tuple[Tensor, Tensor]:
    """Mean-difference vector of every block `[block, width]`, and its share of the median residual norm `[block]`."""
    pairs = lines(PERSONAS / persona / "extract.jsonl")
    plus = last_states(model, [render_prompt(p["positive"]["system"], p["positive"]["user"]) for p in pairs])
    minus = last_states(model, [render_prompt(p["negative"]["system"], p["negative"]["user"]) for p in pairs])
    vector = (plus - minus).mean(1)
    return vector, vector.norm(dim=-1) / minus.norm(dim=-1).median(-1).values
