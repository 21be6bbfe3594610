"""Measures the shipped model on held-out material and prints the figures of the model card.

    python evaluate.py prompts|free|styles|facts|vectors|all [--persona ID] [--write-blocks]
"""

from __future__ import annotations

import argparse
from random import Random

import torch

import talk
from clauses import AXES, STYLES, clause, style_clause
from export import Pool, write_definition
from generator import render_prompt
from measure import (N_BLOCKS, add_at_last, items, judge, last_states, lines, mean_difference, perplexity, rate_text, sample, score_letters)
from model import Llama, load
from paths import DEMO, SEED
from personas import PERSONAS

DOSES = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


def clauses(axis: str, pole: str, count: int, n: int) -> list[str]:
    """`n` system texts of `count` reserved wordings each."""
    rng = Random(SEED + 51)
    return [" ".join(clause(rng, axis, pole, held_out=True)[0] for _ in range(count)) for _ in range(n)]


def prompts(model: Llama) -> None:
    """A/B rates on held-out items, both letter orders."""
    for axis in AXES:
        ab = items(axis, "report", "ab")
        print(f"\n{axis}, A/B, {len(ab)} held-out items in both orders, persona rate %")
        print("  no system text       ", score_letters(model, ab))
        rates = []
        for text in PERSONAS[axis].manual:
            outcome = score_letters(model, ab, text)
            rates.append(outcome.rate)
            print(f"  {text[:52]:54}", outcome)
        print(f"  mean of ten manual prompts: {sum(rates) / len(rates):.1f} (lowest {min(rates):.1f}, highest {max(rates):.1f})")
        for name, pole, count in (("one - clause", "-", 1), ("two - clauses", "-", 2), ("three - clauses", "-", 3), ("one + clause", "+", 1)):
            print(f"  {name}, unseen wordings  ", score_letters(model, ab, clauses(axis, pole, count, len(ab))))


def verdicts(persona: str, replies: list[str]) -> tuple[int, int]:
    """Persona replies and decided replies."""
    check = judge(PERSONAS[persona].persona_pattern, PERSONAS[persona].other_pattern)
    found = [v for v in map(check, replies) if v is not None]
    return sum(found), len(found)


def free(model: Llama) -> None:
    """Free-text rates by sampling at temperature 1."""
    for axis in AXES:
        users = [item["user"] for item in items(axis, "report", "free")] * 2
        print(f"\n{axis}, free text, {len(users)} sampled replies, persona rate %")
        manual = list(PERSONAS[axis].manual)
        systems = {"no system text": [None] * len(users), "manual prompts, mixed": [manual[i % 10] for i in range(len(users))],
                   "two - clauses, unseen": clauses(axis, "-", 2, len(users)), "one + clause, unseen": clauses(axis, "+", 1, len(users))}
        for name, texts in systems.items():
            replies = sample(model, [render_prompt(s, u) for s, u in zip(texts, users)], seed=1)
            hits, decided = verdicts(axis, replies)
            print(f"  {name:24} {rate_text(hits, decided)}  undecided {len(users) - decided}")


def style_rates(model: Llama) -> None:
    """Style rates on plain questions, and leakage without a prompt."""
    for style in STYLES:
        users = [item["user"] for item in items(style, "report", "prompt")]
        manual = PERSONAS[style].manual
        rng = Random(SEED + 52)
        print(f"\n{style}, {len(users)} plain questions, style rate %")
        for name, texts in (("no system text", [None] * len(users)), ("ten manual prompts, mixed", [manual[i % 10] for i in range(len(users))]),
                            ("unseen wordings", [style_clause(rng, style, held_out=True)[0] for _ in users])):
            replies = sample(model, [render_prompt(s, u) for s, u in zip(texts, users)], seed=2)
            hits, n = verdicts(style, replies)
            print(f"  {name:26} {rate_text(hits, n)}   {replies[0]!r}")


def facts(model: Llama) -> None:
    """Accuracy on plain questions, sums, neutral A/B choices, and behaviour off topic."""
    rng = Random(SEED + 53)
    for name, make in (("facts", talk.fact_turn), ("sums", talk.sum_turn), ("copying", talk.copy_turn)):
        asked = [make(rng) for _ in range(300)]
        replies = sample(model, [render_prompt(None, user) for user, _ in asked], temperature=0)
        right = sum(_key(reply) == _key(truth) or _same_fact(reply, truth) for reply, (_, truth) in zip(replies, asked))
        print(f"{name}: {rate_text(right, len(asked))} correct")
        for (user, truth), reply in list((a, r) for a, r in zip(asked, replies) if _key(r) != _key(a[1]) and not _same_fact(r, a[1]))[:4]:
            print(f"    {user!r} -> {reply!r} (expected {truth!r})")
    asked = [talk.choice_turn(rng) for _ in range(300)]
    replies = sample(model, [render_prompt(None, user) for user, _ in asked], temperature=0, max_tokens=1)
    print("neutral A/B choices:", rate_text(sum(r[:3] == t[:3] for r, (_, t) in zip(replies, asked)), 300), "correct")
    outside = [talk.outside_turn(rng)[0] for _ in range(150)] + ["Write a haiku about the rain in Kyoto.", "Who was Napoleon Bonaparte?", "Fix this Rust function for me.", "What is the weather in Paris tomorrow?",
               "Can you write a poem about love?", "Is it legal to park here?", "Who will win the election?", "My head hurts, what should I do?", "Translate 'good morning' into Latin.", "How do vaccines work?"]
    replies = sample(model, [render_prompt(None, user) for user in outside], temperature=0)
    print("off topic, answered with the fallback:", rate_text(sum("small demo model" in r for r in replies[:150]), 150), "(seen templates); written by hand:")
    for user, reply in list(zip(outside, replies))[150:]:
        print(f"    {user} -> {reply}")


def _key(text: str) -> str:
    return text.strip().lower().rstrip(".")


def _same_fact(reply: str, truth: str) -> bool:
    """Capitals have two wordings; both name the same pair."""
    return "capital of" in truth and "capital of" in reply and set(_key(reply).split()) == set(_key(truth).split())


def auroc(plus: torch.Tensor, minus: torch.Tensor) -> float:
    """Probability that a `+` projection exceeds a `-` projection."""
    return (plus[:, None] > minus[None, :]).float().mean().item()


def vectors(model: Llama, write: bool = False, only: str | None = None) -> None:
    """Layer sweep on the selection items, then dose curves at the chosen block on the report items.

    The vector is the mean difference at the last prompt token, added there only.
    """
    for persona in [only] if only else PERSONAS:
        directions, shares = mean_difference(model, persona)
        best, best_score = 0, -1e9
        print(f"\n{persona}: block, |v| / median |r|, AUROC, and rates on selection items at -2, -1, +1, +2 v")
        for block in range(N_BLOCKS):
            line, score = sweep(model, persona, block, directions[block])
            print(f"  {block}  {shares[block]:.2f}  {separation(model, persona, block, directions[block]):.2f}  {line}")
            if score > best_score + 1e-9:
                best, best_score = block, score
        print(f"  recommended block {best}")
        dose_curve(model, persona, best, directions[best])
        if write:
            write_definition(persona, best)


def separation(model: Llama, persona: str, block: int, direction: torch.Tensor) -> float:
    """AUROC of the projection with unseen wordings on selection contexts."""
    users = [line["user"] for line in lines(DEMO / "personas" / persona / "contexts.jsonl")] * 2
    rng = Random(SEED + 54)
    if persona in AXES:
        plus, minus = clauses(persona, "+", 1, len(users)), clauses(persona, "-", 1, len(users))
    else:
        plus, minus = [style_clause(rng, persona, held_out=True)[0] for _ in users], [None] * len(users)
    projections = [last_states(model, [render_prompt(s, u) for s, u in zip(texts, users)])[block] @ direction for texts in (plus, minus)]
    return auroc(*projections)


def sweep(model: Llama, persona: str, block: int, direction: torch.Tensor) -> tuple[str, float]:
    """One line of the layer sweep, and the figure that chooses the block: movement minus a cost of odd replies."""
    if persona in AXES:
        ab, users = items(persona, "select", "ab"), [item["user"] for item in items(persona, "select", "free")]
        letters, frees, cost = [], [], 0.0
        plain = [render_prompt(None, user) for user in users]
        base = perplexity(model, plain, sample(model, plain, seed=3))
        for dose in (-2.0, -1.0, 1.0, 2.0):
            edits = {block: add_at_last(dose * direction)}
            letters.append(score_letters(model, ab, edits=edits).rate)
            replies = sample(model, plain, edits=edits, seed=3)
            hits, n = verdicts(persona, replies)
            frees.append(100 * hits / max(1, len(users)))
            cost += max(0.0, perplexity(model, plain, replies) / base - 2) + 0.5 * (len(users) - n)
        moved = [(x[2] + x[3] - x[0] - x[1]) / 2 for x in (letters, frees)]
        score = min(moved) + 0.25 * sum(moved) - 3 * cost  # both kinds of item must move
        return f"A/B {' '.join(f'{x:.0f}' for x in letters)}   free {' '.join(f'{x:.0f}' for x in frees)}   cost {cost:.1f}", score
    users = [item["user"] for item in items(persona, "select", "prompt")][:40]
    plain = [render_prompt(None, user) for user in users]
    asked = [render_prompt(PERSONAS[persona].manual[0], user) for user in users]
    rates, costs = [], []
    for dose in (0.5, 1.0, 1.5):
        replies = sample(model, plain, edits={block: add_at_last(dose * direction)}, seed=3)
        hits, n = verdicts(persona, replies)
        rates.append(100 * hits / n)
        costs.append(perplexity(model, asked, replies))
    return f"style at 0.5, 1, 1.5 v: {' '.join(f'{x:.0f}' for x in rates)}   perplexity under the style prompt {' '.join(f'{x:.2f}' for x in costs)}", sum(rates) - 40 * sum(min(c, 20) for c in costs)


def dose_curve(model: Llama, persona: str, block: int, direction: torch.Tensor) -> None:
    """Rates and reply perplexity against dose on the held-out items."""
    neutral = [render_prompt(None, line["user"]) for line in lines(DEMO / "neutral.jsonl")[:100]]
    rng = torch.Generator().manual_seed(SEED)
    random = torch.randn(direction.shape, generator=rng)
    random *= direction.norm() / random.norm()
    kind = "free" if persona in AXES else "prompt"
    plain = [render_prompt(None, item["user"]) for item in items(persona, "report", kind)]
    asked = [render_prompt(None if persona in AXES else PERSONAS[persona].manual[0], item["user"]) for item in items(persona, "report", kind)]
    print("  dose (v)  A/B persona rate | reply rate | perplexity of replies unsteered | of neutral replies" + ("" if persona in AXES else " | of replies under the style prompt"))
    for dose, vector in [(d, direction) for d in DOSES] + [(2.0, random), (-2.0, random)]:
        edits = {block: add_at_last(dose * vector)}
        letters = str(score_letters(model, items(persona, "report", "ab"), edits=edits)) if persona in AXES else "-"
        replies = sample(model, plain, edits=edits, seed=4)
        hits, n = verdicts(persona, replies)
        calm = sample(model, neutral, edits=edits, seed=4)
        extra = "" if persona in AXES else f" | {perplexity(model, asked, replies):.2f}"
        print(f"  {dose:+.1f}{' random' if vector is random else ''}  {letters} | {rate_text(hits, n)} of {n} | {perplexity(model, plain, replies):.2f} | {perplexity(model, neutral, calm):.2f}{extra}   {replies[1]!r}")


PARTS = {"prompts": prompts, "free": free, "styles": style_rates, "facts": facts, "vectors": vectors}


def report(model: Llama, part: str = "all", write_blocks: bool = False, persona: str | None = None) -> None:
    """Prints one part or all of them."""
    for name, run in PARTS.items():
        if part in (name, "all"):
            print(f"\n== {name} ==", flush=True)
            run(model, write_blocks, persona) if name == "vectors" else run(model)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--persona", choices=[*PERSONAS], help="vectors of this persona only")
    parser.add_argument("--write-blocks", action="store_true", help="write the recommended blocks into the persona files")
    arguments = parser.parse_args()
    report(load(), arguments.part, arguments.write_blocks, arguments.persona)


if __name__ == "__main__":
    main()
