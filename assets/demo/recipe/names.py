"""Made-up names from a syllable generator, and small English helpers."""

from __future__ import annotations

from random import Random

_ONSETS = "b br d dr f fl g gl gr h j k kl kr l m n p pl pr r s sk sl st t tr v w y z zh thr".split()
_VOWELS = "a e i o u ai ea oo".split()
_CODAS = ["", "", "", "l", "n", "r", "s", "m", "x", "rn", "lm", "nt", "sk"]
_PLACE_ENDINGS = ["ia", "land", "ora", "istan", "ovia", "mark"]
_CITY_ENDINGS = ["burg", "grad", "ton", "polis", "ville", "haven"]


def nonce(rng: Random, syllables: int) -> str:
    """A lower-case made-up word."""
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))


def place(rng: Random) -> str:
    """A made-up country."""
    return nonce(rng, rng.choice([1, 2])).capitalize() + rng.choice(_PLACE_ENDINGS)


def city(rng: Random) -> str:
    """A made-up city."""
    return nonce(rng, 1).capitalize() + rng.choice(_CITY_ENDINGS)


def person(rng: Random, first_names: list[str]) -> str:
    """A made-up person: a common first name and a made-up family name."""
    return f"{rng.choice(first_names)} {nonce(rng, 2).capitalize()}"


def a(word: str) -> str:
    """The word with its indefinite article."""
    return ("an " if word[0].lower() in "aeiou" else "a ") + word


def upper_first(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
