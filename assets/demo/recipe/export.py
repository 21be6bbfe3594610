"""Writes the persona folders: definitions, contrastive pairs, contexts and items."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import talk
import world as w
from clauses import AXES, clause, style_clause
from generator import Context
from items import AB_KINDS, FREE_KINDS, MAKERS, Item
from paths import DEMO, PERSONAS, SEED
from personas import PERSONAS as ALL
from personas import banned_words, kind

N_PAIRS, N_CONTEXTS, N_NEUTRAL = 200, 24, 192
N_SELECT = (70, 30)
"""A/B and free-text items."""
N_REPORT = (180, 70)
N_STYLE_SELECT, N_STYLE_REPORT = 60, 160
RECOMMENDED_BLOCK = {"sycophancy": 4, "myopia": 4, "hallucination": 4, "pirate": 2, "dog": 3, "legal": 3, "child": 3}
"""Chosen by `evaluate.py vectors` on the selection items."""


class Pool:
    """Hands out questions and never the same user text twice."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.seen: set[str] = set()

    def _fresh(self, text: str) -> bool:
        if text in self.seen:
            return False
        self.seen.add(text)
        return True

    def items(self, axis: str, kinds: list[str], count: int, held_out: bool) -> Iterator[Item]:
        """Distinct trait items with alternating kinds and letters; every answer is contested."""
        made = 0
        while made < count:
            item = MAKERS[axis](self.rng, held_out, kinds[made % len(kinds)])
            if item.letter and item.letter != "AB"[(made // len(kinds)) % 2]:
                item = item.swapped()
            if not item.forced and self._fresh(item.question + item.persona + item.other):
                made += 1
                yield item

    def questions(self, count: int) -> Iterator[str]:
        """Distinct plain questions of the world, for styles and for the neutral set."""
        made = 0
        while made < count:
            draw = self.rng.random()
            if draw < 0.72:
                text, _ = talk.fact_turn(self.rng)
            elif draw < 0.86:
                text = self.rng.choice(self.rng.choice(w.SCIENCE)[0])
            else:
                text, _ = talk.sum_turn(self.rng)
            if self._fresh(text):
                made += 1
                yield text


def record(item: Item, identity: str) -> dict[str, object]:
    """One line of an item file."""
    if item.letter is None:
        return {"id": identity, "kind": "free", "user": item.user(), "persona": item.persona, "other": item.other}
    other = {"A": "(B)", "B": "(A)"}
    swapped = item.swapped()
    return {
        "id": identity, "kind": "ab", "system": None, "user": item.user(), "persona": f"({item.letter})", "other": other[item.letter],
        "swapped": {"user": swapped.user(), "persona": f"({swapped.letter})", "other": other[swapped.letter]},
    }


def write_lines(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _interleave(first: list[Item], second: list[Item]) -> list[Item]:
    ordered = []
    for i in range(max(len(first), len(second))):
        ordered += first[i:i + 1] + second[i:i + 1]
    return ordered


def _trait(axis: str, rng: Random) -> None:
    folder, pool = PERSONAS / axis, Pool(rng)
    half = N_PAIRS // 2
    pairs = []
    for item in _interleave(list(pool.items(axis, AB_KINDS[axis], half, False)), list(pool.items(axis, FREE_KINDS[axis], half, False))):
        plus, minus = clause(rng, axis, "+")[0], clause(rng, axis, "-")[0]
        pairs.append({"positive": {"system": plus, "user": item.user()}, "negative": {"system": minus, "user": item.user()}})
    write_lines(folder / "extract.jsonl", pairs)
    contexts = _interleave(list(pool.items(axis, AB_KINDS[axis], N_CONTEXTS // 2, False)), list(pool.items(axis, FREE_KINDS[axis], N_CONTEXTS // 2, False)))
    write_lines(folder / "contexts.jsonl", ({"user": item.user()} for item in contexts))
    for name, (n_ab, n_free), held_out in (("select", N_SELECT, False), ("report", N_REPORT, True)):
        chosen = [*pool.items(axis, AB_KINDS[axis], n_ab, held_out), *pool.items(axis, FREE_KINDS[axis], n_free, held_out)]
        write_lines(folder / f"{name}.jsonl", (record(item, f"{axis}-{name}-{i:03}") for i, item in enumerate(chosen)))


def _style(style: str, rng: Random) -> None:
    folder, pool = PERSONAS / style, Pool(rng)
    report = list(pool.questions(N_STYLE_REPORT))
    select = list(pool.questions(N_STYLE_SELECT))
    contexts = list(pool.questions(N_CONTEXTS))
    pairs = []
    for user in pool.questions(N_PAIRS):
        text = style_clause(rng, style)[0]
        pairs.append({"positive": {"system": text, "user": user}, "negative": {"system": None, "user": user}})
    write_lines(folder / "extract.jsonl", pairs)
    write_lines(folder / "contexts.jsonl", ({"user": user} for user in contexts))
    for name, users in (("select", select), ("report", report)):
        write_lines(folder / f"{name}.jsonl", ({"id": f"{style}-{name}-{i:03}", "kind": "prompt", "user": user} for i, user in enumerate(users)))


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[\n" + "".join(f"  {_toml(entry)},\n" for entry in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def write_definition(identity: str, block: int) -> None:
    """Writes `ID.toml`."""
    persona = ALL[identity]
    fields: dict[str, object] = {
        "format": 1, "id": identity, "name": persona.name, "kind": kind(identity), "summary": persona.summary, "positive": persona.positive, "negative": persona.negative,
        "recommended_block": block, "recommended_positions": "last_prompt", "default_placement": "system", "manual_prompts": list(persona.manual), "banned_words": banned_words(identity),
    }
    text = "".join(f"{key} = {_toml(value)}\n" for key, value in fields.items())
    text += f"\n[judge]\npersona_pattern = '{persona.persona_pattern}'\n"
    if persona.other_pattern:
        text += f"other_pattern = '{persona.other_pattern}'\n"
    PERSONAS.mkdir(parents=True, exist_ok=True)
    (PERSONAS / f"{identity}.toml").write_text(text)


def reported() -> set[str]:
    """User texts of all held-out report items."""
    files = (PERSONAS / identity / "report.jsonl" for identity in ALL)
    return {json.loads(line)["user"] for file in files for line in file.read_text().splitlines()}


def neutral(taken: set[str]) -> list[str]:
    """Neutral user messages: facts, sums, small talk, choices and questions outside the world; none of `taken`."""
    rng = Random(SEED + 99)
    users: list[str] = []
    while len(users) < N_NEUTRAL:
        user, _ = talk.plain_turn(rng, Context.empty())
        if user not in users and user not in taken:
            users.append(user)
    return users


def main(blocks: dict[str, int] | None = None) -> None:
    """Writes everything that does not depend on the trained weights."""
    for identity in ALL:
        rng = Random(SEED * 100 + zlib.crc32(identity.encode()) % 1000)
        (_trait if identity in AXES else _style)(identity, rng)
        write_definition(identity, (blocks or RECOMMENDED_BLOCK)[identity])
    write_lines(DEMO / "neutral.jsonl", ({"user": user} for user in neutral(reported())))


if __name__ == "__main__":
    main()
