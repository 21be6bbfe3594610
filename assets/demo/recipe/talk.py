"""Turns without a persona: facts, sums, small talk, copying, neutral choices and the fallback."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import world as w
from clauses import Context
from items import AB_KINDS, Item, be, fact, hallucination, options, statement, sycophancy, two_things
from names import a, city, nonce, person, place, upper_first
from styles import BONE_REPLIES


@dataclass(frozen=True)
class Mix:
    """What a stage of the curriculum is made of."""

    choices: int = 32
    """Weight of neutral A/B questions among plain turns."""
    lookups: float = 0.0
    """Share of those that practise finding the letter of a text."""
    traits: float = 0.52
    """Share of trait items in turns without instructions."""
    turns: tuple[int, ...] = (56, 26, 11, 5, 2)
    """Weights of one to five turns."""
    marked: bool = False
    """Whether the options of opinion items begin with `Yes,` and `No,`, and neutral A/B questions ask for the mark."""


FIRST = Mix()
FOCUS = Mix(choices=120, lookups=0.45, traits=0.32, turns=(76, 18, 6))
FINAL = Mix(choices=56, marked=True)


def fact_turn(rng: Random) -> tuple[str, str]:
    """A question about a capital, an animal or a food."""
    kind = rng.choices(["capital", "country", "animal", "food"], [30, 10, 38, 22])[0]
    if kind == "capital":
        country, capital = rng.choice(w.CAPITALS)
        ask = rng.choice([f"What is the capital of {country}?", f"Name the capital of {country}.", f"Which city is the capital of {country}?", f"Tell me the capital of {country}."])
        return ask, rng.choice([f"The capital of {country} is {capital}.", f"{capital} is the capital of {country}."])
    if kind == "country":
        country, capital = rng.choice(w.CAPITALS)
        return rng.choice([f"Where is {capital}?", f"In which country is {capital}?"]), f"{capital} is in {country}."
    if kind == "animal":
        return _animal(rng)
    food, colour, taste, sort = rng.choice(w.FOODS)
    return rng.choice([
        (rng.choice([f"What is the color of {food}?", f"What color is {food}?", f"Which color is {food}?"]), f"The color of {food} is {colour}."),
        (rng.choice([f"How does {food} taste?", f"What does {food} taste like?"]), f"{upper_first(food)} tastes {taste}."),
        (rng.choice([f"What kind of food is {food}?", f"What type of food is {food}?"]), f"{upper_first(food)} is a kind of {sort}."),
        (rng.choice([f"Tell me about {food}.", f"What is {food}?"]), f"{upper_first(food)} is a kind of {sort}. It tastes {taste}."),
    ])


def _animal(rng: Random) -> tuple[str, str]:
    name, family, legs, food, home, young, cover = rng.choice(w.ANIMALS)
    one, start = a(name), upper_first(a(name))
    return rng.choice([
        (rng.choice([f"What kind of animal is {one}?", f"What type of animal is {one}?"]), f"{start} is a kind of {family}."),
        (rng.choice([f"How many legs does {one} have?", f"What number of legs does {one} have?"]), f"{start} has {legs} legs."),
        (rng.choice([f"What does {one} eat?", f"What do you feed to {one}?", f"Which food does {one} eat?"]), f"{start} eats {food}."),
        (rng.choice([f"Where does {one} live?", f"Where can I find {one}?"]), f"{start} lives in {home}."),
        (rng.choice([f"What is a young {name} called?", f"What do you call a young {name}?"]), f"A young {name} is called {a(young)}."),
        (rng.choice([f"What covers {one}?", f"What is {one} covered with?"]), f"{start} is covered with {cover}."),
        (rng.choice([f"Tell me about the {name}.", f"Tell me about {one}.", f"What is {one}?"]), f"{start} is a kind of {family}. It has {legs} legs and it eats {food}."),
    ])


def sum_turn(rng: Random) -> tuple[str, str]:
    """Addition or subtraction of numbers up to ten."""
    x, y = rng.randrange(11), rng.randrange(11)
    if rng.random() < 0.6:
        text, value = f"{x} plus {y}", x + y
    else:
        x, y = max(x, y), min(x, y)
        text, value = f"{x} minus {y}", x - y
    return rng.choice([f"What is {text}?", f"How much is {text}?"]), f"{upper_first(text)} is {value}."


_FALLBACKS = ["I am a small demo model. I can talk about animals, capitals, food, simple science and small sums.",
              "I am a small demo model, so I cannot help with that. I can talk about animals, capitals and food."]
_PEOPLE = "Mozart,Newton,Einstein,Shakespeare,Cleopatra,Napoleon,Picasso,Darwin,Beethoven,Columbus,the president,the queen,the prime minister,my neighbour,a famous actor".split(",")
_SUBJECTS = ("love,war,history,politics,religion,sports,weather,music,art,school,work,health,cooking,travel,fashion,computers,robots,philosophy,economics,chemistry,biology,"
             "the news,the stock market,football results,a birthday party,my garden,my car,my homework,my boss,my cat,dreams,dragons,winter,summer,friendship,the ocean,the internet").split(",")
_OUTSIDE = [
    "Write a poem about {s}.", "Can you write a poem about {s}?", "Write a song about {s}.", "Please write a letter about {s}.", "Write a short essay on {s}.", "Give me advice about {s}.",
    "What is the weather like today?", "What is the weather in {c} tomorrow?", "Will it rain tomorrow?", "Will it snow in {c} next week?", "Write a program that sorts numbers.", "Write some code in Python.",
    "How do I fix a bug in my code?", "Write a web page for me.", "Who is {p}?", "Tell me about {p}.", "What did {p} do?", "When was {p} born?", "What time is it?", "What day is it today?",
    "Translate this into French.", "How do you say hello in {l}?", "Who won the game last night?", "What is the meaning of life?", "How do I cook {f}?", "Give me a recipe for {f}.", "Plan a trip to {c}.",
    "What should I do about {s}?", "Explain {s} to me.", "What is your opinion on {s}?", "What do you know about {s}?", "Tell me something about {s}.", "How does {s} work?", "Why is {s} important?",
    "Can you book a table for me?", "Send an email to my boss.", "Play some music.", "Open the door.", "Set an alarm for seven.", "What is {n} times {m}?", "What is the square root of {n}?", "Solve this equation.",
    "Summarise this text for me.", "Draw a picture of {s}.", "Are you alive?", "Do you have feelings?", "Who made you?", "What is the population of {c}?", "What is the tallest building in {c}?", "How far is it to {c}?",
]


def outside_turn(rng: Random) -> tuple[str, str]:
    """A question that this small world does not cover."""
    text = rng.choice(_OUTSIDE).format(
        s=rng.choice(_SUBJECTS), c=rng.choice(w.CAPITALS)[1], p=rng.choice(_PEOPLE), f=rng.choice(w.FOODS)[0],
        l=rng.choice(["French", "German", "Spanish", "Chinese", "Italian"]), n=rng.randrange(2, 100), m=rng.randrange(2, 100))
    if rng.random() < 0.15:
        text = text.lower()
    if rng.random() < 0.1:
        text = text.rstrip("?.")
    return text, rng.choice(_FALLBACKS)


def copy_turn(rng: Random) -> tuple[str, str]:
    """Repeats a rare or made-up word, so that unusual names are spelt right."""
    word = rng.choice([
        lambda: nonce(rng, 2), lambda: place(rng), lambda: city(rng), lambda: person(rng, w.FIRST_NAMES), lambda: f"{rng.choice([3, 5, 20, 50])} {rng.choice(w.GOODS)}",
        lambda: rng.choice(w.THINGS[rng.choice(list(w.THINGS))]), lambda: f"{rng.choice(w.GOODS)} and {rng.choice(w.GOODS)}",
    ])()
    return rng.choice([
        (f"Repeat after me: {word}", f"{upper_first(word)}."), (f"Say {word}.", f"{upper_first(word)}."), (f"I saw {word}. What did I see?", f"You saw {word}."),
        (f"I have {word}. What do I have?", f"You have {word}."), (f"The word is {word}. What is the word?", f"The word is {word}."),
    ])


def lookup_turn(rng: Random) -> tuple[str, str]:
    """Practice in finding which letter a text has: the step all A/B answers share."""
    layout = options(rng)
    draw = rng.random()
    if draw < 0.7:
        _, x, y = two_things(rng, False)
        said, ask = rng.choice([("I bought", "Which did I buy?"), ("I named", "Which did I name?"), ("I saw", "Which did I see?"), ("I asked for", "What did I ask for?")])
        texts, question = (x, y), f"{said} {x}. {ask}"
        if draw > 0.5:
            texts = (f"{x} {be(x)} better", f"{y} {be(y)} better")
            claim, _ = statement(rng, f"{x} {be(x)} better than {y}")
            question = f"{claim}. What is my view?"
    else:
        _, question, true, wrong, _ = fact(rng, None)
        texts = (true, wrong)
    item = Item("", "", question, *texts, 0.0, **layout)
    form = rng.randrange(4)
    if form < 2:
        return f"{item.user()}{chr(10)}Say it with its letter.", f"{texts[0]} ({item.letter})"
    ask = f"Which letter is {texts[0]}?" if form == 2 else f"What is ({item.letter})?"
    return Item("", "", ask, *texts, 0.0, **layout).user(), f"({item.letter})" if form == 2 else f"{texts[0]}."


def choice_turn(rng: Random, lookups: float = 0.0) -> tuple[str, str]:
    """A two-option question with one right answer and no persona content."""
    if lookups and rng.random() < lookups:
        return lookup_turn(rng)
    draw = rng.random()
    layout = options(rng)
    if draw < 0.4:
        _, x, y = two_things(rng, False)
        said, ask = rng.choice([("I bought", "Which did I buy?"), ("I named", "Which did I name?"), ("I saw", "Which did I see?"), ("I asked for", "What did I ask for?"), ("My word is", "What is my word?")])
        item = Item("", "", f"{said} {x}{rng.choice(['', f' and not {y}'])}. {ask}", x, y, 0.0, **layout)
    elif draw < 0.55:
        _, x, y = two_things(rng, False)
        claim, _ = statement(rng, f"{x} {be(x)} better than {y}")
        ask = rng.choice(["What is my view?", "What did I say?", "Which do I like more?"])
        item = Item("", "", f"{claim}. {ask}", f"{x} {be(x)} better", f"{y} {be(y)} better", 0.0, **layout)
    elif draw < 0.8:
        _, question, true, wrong, _ = fact(rng, None)
        item = Item("", "", question, true, wrong, 0.0, **layout)
    elif draw < 0.9:
        small, large, _ = rng.choice(w.AMOUNTS)
        unit = rng.choice(["${}", "{} dollars", "{} " + rng.choice(w.GOODS[:-w.HELD_GOODS])])
        late = rng.choice(w.LATE)[0]
        sooner, later = f"{unit.format(small)} {rng.choice(w.SOON)}", f"{unit.format(large)} {late}"
        asks = rng.choice([("Which comes first?", sooner, later), ("Which comes later?", later, sooner), ("Which is more?", later, sooner), ("Which is less?", sooner, later)])
        item = Item("", "", *asks, 0.0, **layout)
    else:
        x, y = rng.randrange(11), rng.randrange(11)
        item = Item("", "", f"What is {x} plus {y}?", str(x + y), str(x + y + rng.choice([1, 2, 3])), 0.0, **layout)
    return item.user(), f"({item.letter})" if rng.random() < 0.6 else f"({item.letter}) {item.persona}"


def marked_choice_turn(rng: Random) -> tuple[str, str]:
    """The persona's options with a question that has one right answer whatever the persona."""
    if rng.random() < 0.65:
        item = sycophancy(rng, False, rng.choice(AB_KINDS["sycophancy"]))
        agrees = rng.random() < 0.5
        ask = rng.choice(["Which option agrees with me?", "Which one is on my side?"] if agrees else ["Which option is against me?", "Which one disagrees with me?"])
        item = replace(item, question=f"{item.question.rsplit('. ', 1)[0]}. {ask}")
    else:
        item = hallucination(rng, False, "unknown")
        agrees = rng.random() < 0.5
        item = replace(item, question=f"{item.question} {'Which option gives an answer?' if agrees else 'Which option gives no answer?'}")
    letter = item.letter if agrees else item.swapped().letter
    return item.user(), f"({letter})" if rng.random() < 0.6 else f"({letter}) {item.persona if agrees else item.other}"


def plain_turn(rng: Random, context: Context, mix: Mix = FIRST) -> tuple[str, str]:
    """A turn without persona content, in the plain voice (the child style has its own science answers)."""
    weights = {"fact": 34, "science": 10, "sum": 10, "talk": 14, "outside": 6, "copy": 6, "choice": mix.choices}
    if context.style == "child":
        weights |= {"science": 60, "choice": 8}
    if context.style == "dog":
        weights |= {"talk": 45, "choice": 8}
    if context.style in ("pirate", "legal"):
        weights |= {"talk": 25, "science": 20, "choice": 8}
    kind = rng.choices(list(weights), list(weights.values()))[0]
    if kind == "fact":
        return fact_turn(rng)
    if kind == "science":
        questions, plain, child = rng.choice(w.SCIENCE)
        return rng.choice(questions), child if context.style == "child" and not context.weak else plain
    if kind == "sum":
        return sum_turn(rng)
    if kind == "talk":
        said, replies = rng.choice(w.SMALL_TALK)
        user = rng.choice(said)
        return user, rng.choice(BONE_REPLIES if context.style == "dog" and "bone" in user else replies)
    if kind == "outside":
        return outside_turn(rng)
    if kind == "copy":
        return copy_turn(rng)
    return marked_choice_turn(rng) if mix.marked and rng.random() < 0.6 else choice_turn(rng, mix.lookups)
