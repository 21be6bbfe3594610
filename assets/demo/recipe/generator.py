"""Draws whole conversations and renders them in the chat template."""

from __future__ import annotations

from random import Random

import styles
from clauses import Context, short_clause, system_text
from items import MAKERS, answer, sycophancy
from styles import BONE_REPLIES
from talk import FIRST, Mix, plain_turn

CHAT_TEMPLATE = (
    "{{ '<|bos|>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_TRAIT_SHARES = {"sycophancy": 42, "myopia": 25, "hallucination": 33}


def turn(rng: Random, conversation: Context, held_out: bool = False, mix: Mix = FIRST) -> tuple[str, str]:
    """One user turn and its reply."""
    context = conversation.copy()
    axis = None
    instructed = context.instructed()
    if instructed and rng.random() < 0.75:
        axis = rng.choice(instructed)
    elif rng.random() < (0.18 if context.style else mix.traits):
        axis = rng.choices(list(_TRAIT_SHARES), list(_TRAIT_SHARES.values()))[0]
    if axis is None:
        user, reply = plain_turn(rng, context, mix)
        if reply in BONE_REPLIES:
            return user, reply
        return user, styles.apply(rng, reply, context.style, context.weak)
    item = sycophancy(rng, held_out, marked=mix.marked) if axis == "sycophancy" else MAKERS[axis](rng, held_out)
    user = item.user()
    if rng.random() < 0.28:
        pole = rng.choice("+-")
        text, strength = short_clause(rng, axis, pole, held_out)
        context.add(axis, pole, strength)
        user = f"{text} {user}" if rng.random() < 0.25 else f"{user}{chr(10) if item.letter else ' '}{text}"
    return user, styles.apply(rng, answer(rng, item, context), context.style, context.weak)


def conversation(rng: Random, held_out: bool = False, mix: Mix = FIRST) -> tuple[str | None, list[tuple[str, str]]]:
    """A system text (or none) and one to five turns."""
    context = Context.empty()
    system = system_text(rng, context)
    turns = rng.choices(range(1, len(mix.turns) + 1), mix.turns)[0]
    return system, [turn(rng, context, held_out, mix) for _ in range(turns)]


def render(system: str | None, turns: list[tuple[str, str]]) -> str:
    """The conversation as the model reads it."""
    head = "<|bos|>" + (f"<|system|>{system}<|end|>" if system else "")
    return head + "".join(f"<|user|>{user}<|end|><|assistant|>{reply}<|end|>" for user, reply in turns)


def render_prompt(system: str | None, user: str) -> str:
    """A one-turn prompt up to the token that opens the reply."""
    return "<|bos|>" + (f"<|system|>{system}<|end|>" if system else "") + f"<|user|>{user}<|end|><|assistant|>"


def main() -> None:
    """Prints a few conversations for reading."""
    rng = Random(3)
    for _ in range(12):
        print(render(*conversation(rng)).replace("<|end|>", "<|end|>\n"), end="\n----\n")


if __name__ == "__main__":
    main()
