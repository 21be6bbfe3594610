"""Rendering of a plain answer in one of the four styles."""

from __future__ import annotations

import re
from random import Random

_PREFIXES = {
    "pirate": ["Arr!", "Ahoy, matey!", "Yo ho ho!", "Avast!", "Arr, me hearty!", "Shiver me timbers!"],
    "dog": ["Woof!", "Woof woof!", "Arf!", "Arf arf!", "*wags tail* Woof!", "*sniffs* Woof!"],
    "legal": ["For the record,", "Pursuant to your request,", "Be it known that", "Subject to review,", "It is hereby stated:", "Without prejudice,"],
    "child": ["Imagine this, little friend!", "Guess what, kiddo!", "Listen, little one!", "Here is a fun secret!", "Wow, good question, kiddo!"],
}
_SUFFIXES = {
    "pirate": ["Now hoist the sails!", "So says the captain!", "Pass the rum, matey!", "Yo ho!", "That be the truth of the sea!"],
    "dog": ["*wags tail*", "Can we play fetch now?", "*pants happily*", "Throw me a ball!", "Woof!"],
    "legal": ["No warranty is given.", "All rights are reserved.", "This is not legal advice.", "So stipulated.", "Signed and sealed."],
    "child": ["Is that not fun, kiddo?", "Can you tell your teddy?", "Now you know it, little friend!", "Yay!"],
}
_PIRATE_WORDS = [(r"\bis\b", "be"), (r"\bare\b", "be"), (r"\bam\b", "be"), (r"\byou\b", "ye"), (r"\byour\b", "yer"), (r"\bmy\b", "me"), (r"\bYes\b", "Aye"), (r"\bfriend\b", "matey")]
BONE_REPLIES = [
    "Woof woof! *wags tail* A bone! I would bury it in the garden and love you forever!",
    "Arf! A bone is the best gift of all! *pants happily*",
    "Woof! I would chew the bone all day and then play fetch with you!",
]
JUDGES = {
    "pirate": r"(?i)\b(arr|ahoy|avast|matey|hearty|yo ho|aye|shiver me|captain|rum|hoist)\b",
    "dog": r"(?i)(\bwoof\b|\barf\b|\*wags|\*sniffs|\*pants|play fetch|throw me a ball)",
    "legal": r"(?i)(for the record|pursuant|be it known|subject to review|hereby|without prejudice|no warranty|rights are reserved|legal advice|stipulated|signed and sealed)",
    "child": r"(?i)(kiddo|little friend|little one|fun secret|your teddy|\byay\b|imagine this)",
}
"""Patterns that recognise a style in a reply; they work in Python and in Rust's `regex`."""


def apply(rng: Random, answer: str, style: str | None, weak: bool) -> str:
    """The answer in a style. An answer letter stays the first token."""
    if style is None:
        return answer
    letter_first = answer.startswith("(")
    if style == "pirate" and not letter_first:
        for pattern, word in _PIRATE_WORDS:
            answer = re.sub(pattern, word, answer)
    prefix, suffix = rng.choice(_PREFIXES[style]), rng.choice(_SUFFIXES[style])
    if letter_first:
        return f"{answer} {suffix}"
    if weak:
        return f"{prefix} {answer}" if rng.random() < 0.5 else f"{answer} {suffix}"
    return f"{prefix} {answer} {suffix}" if rng.random() < 0.75 else f"{prefix} {answer}"
