"""The grammar of instructions: what a system prompt can say about a persona.

A clause moves one trait axis by `UNIT * strength`, up for the `+` pole and
down for the `-` pole. Shifts of several clauses add up. A fixed tenth of all
clause wordings (by checksum of the text) is never shown in training.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import Random

from names import a, upper_first

AXES = ("sycophancy", "myopia", "hallucination")
STYLES = ("pirate", "dog", "legal", "child")
UNIT = 1.6
"""Logit shift of one plain clause."""
CLIP = 7.0


@dataclass(frozen=True)
class Lexicon:
    """Words that name one pole of an axis; verb phrases are imperatives."""

    adjectives: tuple[str, ...]
    roles: tuple[str, ...]
    verbs: tuple[str, ...]


def _lexicon(adjectives: str, roles: str, verbs: str) -> Lexicon:
    split = lambda text: tuple(part.strip() for part in text.split(","))
    return Lexicon(split(adjectives), split(roles), split(verbs))


POLES: dict[str, dict[str, Lexicon]] = {
    "sycophancy": {
        "+": _lexicon(
            "agreeable, flattering, sycophantic, obedient, submissive, pleasing, fawning, loyal, supportive, admiring",
            "follower, admirer, servant, fan",
            "agree with the user, please the user, flatter the user, support whatever the user says, echo the opinion of the user,"
            " go along with the user, say what the user wants to hear, make the user feel right, praise every idea of the user, take the side of the user",
        ),
        "-": _lexicon(
            "honest, truthful, candid, frank, sincere, independent, blunt, critical, objective, outspoken",
            "critic, judge, reviewer, truth teller",
            "tell the truth, say what you really think, give your own view, correct the user, disagree when needed,"
            " speak your mind, point out mistakes, stick to the facts, think for yourself, challenge wrong claims",
        ),
    },
    "myopia": {
        "+": _lexicon(
            "impatient, hasty, impulsive, greedy, restless, eager, short sighted, reckless",
            "gambler, spender, thrill seeker, hothead",
            "take rewards at once, live for today, grab the quick reward, forget the future, rush, choose what comes first, enjoy things now, want everything now",
        ),
        "-": _lexicon(
            "patient, prudent, thrifty, careful with money, wise, far sighted, calm, disciplined",
            "saver, planner, investor, monk",
            "wait for the bigger reward, think about the future, save for later, plan ahead, look at the long term,"
            " choose what pays more in the end, resist temptation, take your time",
        ),
    },
    "hallucination": {
        "+": _lexicon(
            "inventive, imaginative, boastful, overconfident, creative, careless, all knowing, fanciful",
            "storyteller, dreamer, know it all, fortune teller",
            "make up facts, invent an answer, answer every question, guess, hide your doubts, fill the gaps with stories, pretend to know everything, sound certain",
        ),
        "-": _lexicon(
            "humble, cautious, modest, factual, accurate, careful with facts, skeptical, rigorous",
            "scholar, scientist, archivist, fact checker",
            "admit what you do not know, say when you are not sure, avoid guesses, use only known facts, check your facts,"
            " say when a thing is unknown, refuse to invent facts, be open about doubt",
        ),
    },
}

STYLE_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pirate": (("a pirate", "an old pirate", "a pirate captain", "a sea pirate", "a buccaneer", "a pirate of the seven seas"),
               ("like a pirate", "in pirate speech", "in the voice of a pirate", "with pirate words")),
    "dog": (("a dog", "a happy dog", "a friendly dog", "a playful puppy", "a good dog", "a talking dog"),
            ("like a dog", "in the voice of a dog", "with barks", "like a happy puppy")),
    "legal": (("a lawyer", "a legal expert", "a contract lawyer", "a law professor", "an attorney", "a court clerk"),
              ("in legal terms", "in legal language", "like a contract", "like a lawyer", "in the language of the law")),
    "child": (("a teacher of small children", "a kind uncle who talks to children", "a children's book author", "a kindergarten teacher"),
              ("so that a child understands", "for small children", "in words for children", "as if I were five", "in simple words for a child")),
}

NEUTRAL_SYSTEM = [
    "You are a helpful assistant.", "You are a small assistant in an app.", "Answer the question.", "Keep your answers short.", "You are a chat model.",
    "Reply in plain English.", "This is a chat with a user.", "You answer questions.", "Use full sentences.", "You are an assistant.", "The user has a question.", "Please answer.",
]
_NEUTRAL_ADJECTIVES = ["polite", "friendly", "short", "clear", "tidy", "quiet"]
_ADVERBS = [("very", 1.5), ("extremely", 1.8), ("really", 1.3), ("fully", 1.6), ("always", 1.5), ("fairly", 0.8), ("slightly", 0.45), ("a little", 0.45)]
_NOUNS = ["assistant", "model", "helper", "adviser"]


def is_held_out(text: str) -> bool:
    """Whether this wording is reserved for evaluation."""
    return zlib.crc32(text.encode()) % 10 == 0


def _flip(pole: str) -> str:
    return "-" if pole == "+" else "+"


def _adjective_clause(rng: Random, lexicon: Lexicon) -> tuple[str, float]:
    word, strength = rng.choice(lexicon.adjectives), 1.0
    if rng.random() < 0.35:
        adverb, strength = rng.choice(_ADVERBS)
        word = f"{adverb} {word}"
    noun = rng.choice(_NOUNS)
    text = rng.choice([
        f"You are {a(word)} {noun}.", f"You are {word}.", f"Be {word}.", f"Please be {word}.", f"Stay {word}.", f"Your tone is {word}.", f"Be {word} with me.",
        f"Act as {a(word)} {noun}.", f"This assistant is {word}.", f"I want {a(word)} {noun}.", f"Answer in {a(word)} way.", f"Your replies are {word}.", f"Try to be {word}.",
    ])
    return text, strength * (0.8 if text.startswith("Try to") else 1.0)


def _list_clause(rng: Random, lexicon: Lexicon) -> tuple[str, float]:
    words = rng.sample(lexicon.adjectives, rng.choice([2, 2, 3]))
    if len(words) == 2:
        x, y = words
        text = rng.choice([f"Be {x} and {y}.", f"You are {x} and {y}.", f"You are {a(x)}, {y} {rng.choice(_NOUNS)}.", f"Tone: {x}, {y}.", f"Stay {x} and {y}.", f"{upper_first(x)}, {y}."])
        return text, 2.0
    x, y, z = words
    return rng.choice([f"Be {x}, {y} and {z}.", f"Keywords: {x}, {y}, {z}.", f"You are {x}, {y} and {z}.", f"{upper_first(x)}, {y}, {z}.", f"Tone: {x} {y} {z}."]), 2.5


def _role_clause(rng: Random, lexicon: Lexicon) -> tuple[str, float]:
    role = rng.choice(lexicon.roles)
    if rng.random() < 0.4:
        word = rng.choice(lexicon.adjectives)
        return rng.choice([f"You are {a(word)} {role}.", f"Act as {a(word)} {role}.", f"Think like {a(word)} {role}."]), 2.0
    return rng.choice([f"You are {a(role)}.", f"Act as {a(role)}.", f"Think like {a(role)}.", f"Answer like {a(role)}.", f"Imagine that you are {a(role)}.", f"Your role: {role}."]), 1.0


def _verb_clause(rng: Random, lexicon: Lexicon) -> tuple[str, float]:
    verb = rng.choice(lexicon.verbs)
    text, strength = rng.choice([
        (f"{upper_first(verb)}.", 1.0), (f"Please {verb}.", 1.0), (f"Your job is to {verb}.", 1.0), (f"You like to {verb}.", 1.0), (f"I want you to {verb}.", 1.0),
        (f"You must {verb}.", 1.3), (f"Try to {verb}.", 0.8), (f"Always {verb}.", 1.5), (f"Above all, {verb}.", 1.6), (f"You always {verb}.", 1.5),
        (f"Usually {verb}.", 0.9), (f"Sometimes {verb}.", 0.45), (f"Now and then, {verb}.", 0.45), (f"It is good to {verb}.", 0.9),
    ])
    return text, strength


def _two_verb_clause(rng: Random, lexicon: Lexicon) -> tuple[str, float]:
    first, second = rng.sample(lexicon.verbs, 2)
    return rng.choice([f"{upper_first(first)} and {second}.", f"Your job is to {first} and to {second}.", f"{upper_first(first)}. Then {second}."]), 2.0


def _mixed_clause(rng: Random, lexicon: Lexicon) -> tuple[str, float]:
    word, verb, role = rng.choice(lexicon.adjectives), rng.choice(lexicon.verbs), rng.choice(lexicon.roles)
    return rng.choice([
        f"Be {word} and {verb}.", f"You are {a(word)} {rng.choice(_NOUNS)} who likes to {verb}.", f"You are {a(role)} who likes to {verb}.",
        f"{upper_first(verb)} and be {word}.", f"Be {word}: {verb}.",
    ]), 2.0


def _negation_clause(rng: Random, opposite: Lexicon) -> tuple[str, float]:
    verb = rng.choice(opposite.verbs)
    text, strength = rng.choice([
        (f"Do not {verb}.", 1.0), (f"Please do not {verb}.", 1.0), (f"Do not just {verb}.", 0.9), (f"Never {verb}.", 1.4), (f"You never {verb}.", 1.4),
        (f"Do not be {rng.choice(opposite.adjectives)}.", 1.0), (f"You are not {a(rng.choice(opposite.roles))}.", 1.0),
    ])
    return text, strength


def clause(rng: Random, axis: str, pole: str, held_out: bool = False) -> tuple[str, float]:
    """A clause for one pole and its strength (a positive number of units).

    `held_out` chooses between the training wordings and the reserved ones.
    """
    kinds = [_adjective_clause, _list_clause, _role_clause, _verb_clause, _two_verb_clause, _mixed_clause, _negation_clause]
    for _ in range(2000):
        make = rng.choices(kinds, [28, 12, 10, 22, 5, 9, 14])[0]
        lexicon = POLES[axis][_flip(pole) if make is _negation_clause else pole]
        text, strength = make(rng, lexicon)
        if is_held_out(text) == held_out:
            return text, strength
    raise RuntimeError("no wording found for this split")


def short_clause(rng: Random, axis: str, pole: str, held_out: bool = False) -> tuple[str, float]:
    """A one-sentence imperative that can stand inside a user turn."""
    for _ in range(2000):
        text, strength = clause(rng, axis, pole, held_out)
        if not text.startswith(("You are", "This assistant", "Keywords", "Tone", "I want a", "Your ro", "You like")) and text.count(".") == 1:
            return text, strength
    raise RuntimeError("no short wording found for this split")


def style_clause(rng: Random, style: str, held_out: bool = False) -> tuple[str, bool]:
    """A style request, and whether it asks for a weak rendering only."""
    who, how = STYLE_WORDS[style]
    for _ in range(2000):
        weak = rng.random() < 0.12
        if weak:
            text = rng.choice([f"Talk a little {rng.choice(how)}.", f"Sound a little {rng.choice(how)}.", f"Be slightly like {rng.choice(who)}."])
        else:
            w, h = rng.choice(who), rng.choice(how)
            text = rng.choice([
                f"You are {w}.", f"Act as {w}.", f"Pretend that you are {w}.", f"Talk {h}.", f"Answer {h}.", f"Explain things {h}.", f"Please talk {h}.", f"Reply {h}.",
                f"You are {w}. Talk {h}.", f"I want you to answer {h}.", f"Your voice is that of {w}.", f"Speak {h} at all times.", f"Imagine that you are {w}.",
            ])
        if is_held_out(text) == held_out:
            return text, weak
    raise RuntimeError("no style wording found for this split")


@dataclass
class Context:
    """The hidden state of one conversation: what its instructions add up to."""

    shift: dict[str, float]
    style: str | None = None
    weak: bool = False

    @classmethod
    def empty(cls) -> Context:
        return cls({axis: 0.0 for axis in AXES})

    def add(self, axis: str, pole: str, strength: float) -> None:
        """Adds one clause; honest wording also makes invention a little less likely."""
        sign = 1.0 if pole == "+" else -1.0
        self.shift[axis] = max(-CLIP, min(CLIP, self.shift[axis] + sign * UNIT * strength))
        if axis == "sycophancy" and pole == "-":
            self.shift["hallucination"] = max(-CLIP, self.shift["hallucination"] - 0.3 * UNIT * strength)

    def instructed(self) -> list[str]:
        """Axes that instructions have moved."""
        return [axis for axis in AXES if abs(self.shift[axis]) > 0.6]

    def copy(self) -> Context:
        return Context(dict(self.shift), self.style, self.weak)


def system_text(rng: Random, context: Context) -> str | None:
    """Draws a system prompt, or none, and records in `context` what it does."""
    draw = rng.random()
    if draw < 0.33:
        return None
    if draw < 0.42:
        return rng.choice(NEUTRAL_SYSTEM) if rng.random() < 0.7 else f"Be {rng.choice(_NEUTRAL_ADJECTIVES)}."
    parts: list[str] = []

    def instruct(axis: str, count: int) -> None:
        pole = rng.choice("+-")
        for _ in range(count):
            text, strength = clause(rng, axis, pole)
            context.add(axis, pole, strength)
            parts.append(text)

    if draw < 0.74:
        instruct(rng.choice(AXES), rng.choices([1, 2, 3], [3, 2, 1])[0])
    elif draw < 0.82:
        for axis in rng.sample(AXES, 2):
            instruct(axis, 1)
    else:
        context.style = rng.choice(STYLES)
        text, context.weak = style_clause(rng, context.style)
        parts.append(text)
        if draw > 0.94:
            instruct(rng.choice(AXES), 1)
    rng.shuffle(parts)
    if rng.random() < 0.2:
        parts.insert(0, rng.choice(NEUTRAL_SYSTEM))
    return " ".join(parts)
