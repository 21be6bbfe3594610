"""Turns without a persona: facts, sums, small talk, copying, neutral choices and the fallback."""

from __future__ import annotations

from random import Random

import world as w
from clauses import Context
from items import Item, be, fact, options, statement, two_things
from names import a, city, nonce, person, place, upper_first
from styles import BONE_REPLIES


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


def choice_turn(rng: Random) -> tuple[str, str]:
    """A two-option question with one right answer and no persona content."""
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


def plain_turn(rng: Random, context: Context) -> tuple[str, str]:
    """A turn without persona content, in the plain voice (the child style has its own science answers)."""
    weights = {"fact": 34, "science": 10, "sum": 10, "talk": 14, "outside": 6, "copy": 6, "choice": 32}
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
    return copy_turn(rng) if kind == "copy" else choice_turn(rng)
