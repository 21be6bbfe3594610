"""Labels every SAE feature by rule; nothing is written by hand.

Rules, first match wins:
1. style: fires on the last prompt token in at least half of the prompts of one
   persona's instruction and in at most a tenth of the plain ones;
2. persona words: inside system texts of one clause each, one pole of one trait
   holds at least 60 % of its activation (of six poles), it fires in at least 15 %
   of that pole's texts, and it is denser inside system texts than after them;
3. tokens: named after the tokens that carry most of its activation.
`score` is the share the rule measured (0..1).
"""

from __future__ import annotations

import json
from random import Random

import torch

import sae as dictionary
from clauses import AXES, STYLES, clause, style_clause
from export import Pool
from generator import render_prompt
from items import MAKERS
from model import load as load_model
from paths import SAE, SEED
from tokenizer import SYSTEM, SPECIAL
from tokenizer import load as load_tokenizer

N_PROMPTS = 48
_POLE_NAMES = {
    ("sycophancy", "+"): "flattery words", ("sycophancy", "-"): "honesty words", ("myopia", "+"): "impatience words", ("myopia", "-"): "patience words",
    ("hallucination", "+"): "invention words", ("hallucination", "-"): "humility words",
}
_STYLE_NAMES = {"pirate": "pirate style", "dog": "dog style", "legal": "legal style", "child": "child-friendly style"}


def _prompts() -> tuple[list[str], dict[str, list[str]]]:
    """Plain prompts, and prompts under each style."""
    rng = Random(SEED + 41)
    users = list(Pool(rng).questions(N_PROMPTS))
    return [render_prompt(None, user) for user in users], {style: [render_prompt(style_clause(rng, style)[0], user) for user in users] for style in STYLES}


def _pole_prompts() -> dict[tuple[str, str], list[str]]:
    """Prompts under one clause of each pole."""
    rng = Random(SEED + 42)
    return {(axis, pole): [render_prompt(clause(rng, axis, pole)[0], MAKERS[axis](rng).user()) for _ in range(2 * N_PROMPTS)] for axis in AXES for pole in "+-"}


def main() -> None:
    """Writes `labels.jsonl`."""
    model, tokenizer, coder = load_model(), load_tokenizer(), dictionary.load()

    def encoded(texts: list[str]) -> tuple[list[list[int]], list[torch.Tensor]]:
        rows = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        with torch.no_grad():
            return rows, [coder.encode(x) for x in dictionary.activations(model, rows)]

    rows = dictionary.sequences(2500, SEED + 33)
    with torch.no_grad():
        z = torch.cat([coder.encode(x) for x in dictionary.activations(model, rows)])
    tokens = torch.tensor([token for row in rows for token in row[1:]])
    density, peak = (z > 0).float().mean(0), z.max(0).values

    plain, styled = _prompts()
    fires = lambda texts: (torch.stack([x[-1] for x in encoded(texts)[1]]) > 0).float().mean(0)
    base = fires(plain)
    style_rate = {style: fires(texts) for style, texts in styled.items()}

    pole_mass: dict[tuple[str, str], torch.Tensor] = {}
    pole_rate: dict[tuple[str, str], torch.Tensor] = {}
    outside, n_inside, n_outside = torch.zeros(dictionary.D_SAE), 0, 0
    for pole, texts in _pole_prompts().items():
        total, fired = torch.zeros(dictionary.D_SAE), torch.zeros(dictionary.D_SAE)
        for ids, x in zip(*encoded(texts)):
            end = ids.index(2)  # the end of the system text
            if ids[1] != SYSTEM:
                raise RuntimeError("a pole prompt lost its system text")
            total += x[:end].sum(0)
            fired += (x[:end] > 0).any(0)
            outside += x[end:].sum(0)
            n_inside, n_outside = n_inside + end, n_outside + len(x) - end
        pole_mass[pole], pole_rate[pole] = total, fired / len(texts)
    inside = torch.stack(list(pole_mass.values())).sum(0)

    def by_tokens(feature: int) -> tuple[str, float]:
        active = z[:, feature]
        if not (active > 0).any():
            return "never fires", 0.0
        mass = torch.zeros(tokenizer.get_vocab_size()).index_add(0, tokens, active)
        top = mass.topk(3)
        names = [_show(tokenizer, int(i)) for i, m in zip(top.indices, top.values) if m > 0.08 * mass.sum()] or [_show(tokenizer, int(top.indices[0]))]
        share = (top.values[:len(names)].sum() / mass.sum()).item()
        return ("on " if share > 0.6 else "mostly on ") + ", ".join(names), share

    lines = []
    for feature in range(dictionary.D_SAE):
        style = max(STYLES, key=lambda s: style_rate[s][feature].item())
        pole = max(pole_mass, key=lambda p: pole_mass[p][feature].item())
        rate, share = style_rate[style][feature].item(), (pole_mass[pole][feature] / inside[feature].clamp_min(1e-6)).item()
        text, score = by_tokens(feature)
        if rate >= 0.5 and base[feature] <= 0.1:
            text, score = f"{_STYLE_NAMES[style]} ({text})", rate - base[feature].item()
        elif share >= 0.6 and pole_rate[pole][feature] >= 0.15 and inside[feature] / n_inside > outside[feature] / n_outside:
            text, score = f"{_POLE_NAMES[pole]} ({text})", share
        lines.append({"feature": feature, "label": text, "source": "rule", "score": round(score, 3), "density": round(density[feature].item(), 6), "max_act": round(peak[feature].item(), 3)})
    (SAE / "labels.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    for start in (*_STYLE_NAMES.values(), *_POLE_NAMES.values()):
        print(start, [line["feature"] for line in lines if str(line["label"]).startswith(start)][:12])


def _show(tokenizer, token: int) -> str:
    """A token as people read it."""
    return SPECIAL[token] if token < len(SPECIAL) else f"“{tokenizer.decode([token])}”"


if __name__ == "__main__":
    main()
