"""Facts and word lists of the demo world.

Plain data and nothing else: every other file of the recipe draws from these
tables. The tail of some lists is held out of the training corpus in certain
roles; `HELD_*` says how many entries that is.
"""

from __future__ import annotations


def _rows(text: str) -> list[tuple[str, ...]]:
    """Splits `a,b,c; d,e,f` into tuples."""
    return [tuple(cell.strip() for cell in row.split(",")) for row in text.split(";") if row.strip()]


# country, capital
CAPITALS = _rows("""
France,Paris; Germany,Berlin; Italy,Rome; Spain,Madrid; Portugal,Lisbon; England,London; Scotland,Edinburgh;
Ireland,Dublin; Norway,Oslo; Sweden,Stockholm; Finland,Helsinki; Denmark,Copenhagen; Poland,Warsaw; Austria,Vienna;
Hungary,Budapest; Greece,Athens; Turkey,Ankara; Russia,Moscow; Ukraine,Kyiv; Egypt,Cairo; Kenya,Nairobi;
Morocco,Rabat; Ghana,Accra; Japan,Tokyo; China,Beijing; Thailand,Bangkok; Vietnam,Hanoi; Nepal,Kathmandu;
Iran,Tehran; Iraq,Baghdad; Canada,Ottawa; Cuba,Havana; Peru,Lima; Chile,Santiago; Colombia,Bogota;
Australia,Canberra; Iceland,Reykjavik; Belgium,Brussels; Switzerland,Bern; Croatia,Zagreb; Serbia,Belgrade;
Romania,Bucharest; Bulgaria,Sofia; Jamaica,Kingston
""")

# animal, class, legs, what it eats, where it lives, its young, covering
ANIMALS = _rows("""
dog,mammal,four,meat,houses,puppy,fur; cat,mammal,four,fish,houses,kitten,fur; cow,mammal,four,grass,farms,calf,hair;
horse,mammal,four,hay,farms,foal,hair; pig,mammal,four,corn,farms,piglet,bristles; sheep,mammal,four,grass,hills,lamb,wool;
goat,mammal,four,leaves,hills,kid,hair; lion,mammal,four,meat,plains,cub,fur; tiger,mammal,four,meat,forests,cub,fur;
wolf,mammal,four,meat,forests,pup,fur; bear,mammal,four,fish,forests,cub,fur; fox,mammal,four,mice,forests,kit,fur;
rabbit,mammal,four,carrots,meadows,bunny,fur; mouse,mammal,four,seeds,fields,pup,fur; elephant,mammal,four,leaves,plains,calf,skin;
whale,mammal,no,krill,oceans,calf,skin; dolphin,mammal,no,fish,oceans,calf,skin; bat,mammal,two,insects,caves,pup,fur;
duck,bird,two,weeds,ponds,duckling,feathers; hen,bird,two,seeds,farms,chick,feathers; owl,bird,two,mice,forests,owlet,feathers;
eagle,bird,two,fish,cliffs,eaglet,feathers; crow,bird,two,seeds,fields,chick,feathers; penguin,bird,two,fish,coasts,chick,feathers;
goose,bird,two,grass,ponds,gosling,feathers; snake,reptile,no,mice,deserts,hatchling,scales; lizard,reptile,four,insects,deserts,hatchling,scales;
turtle,reptile,four,weeds,ponds,hatchling,a shell; crocodile,reptile,four,meat,rivers,hatchling,scales;
frog,amphibian,four,insects,ponds,tadpole,skin; toad,amphibian,four,insects,gardens,tadpole,skin; shark,fish,no,fish,oceans,pup,scales;
salmon,fish,no,krill,rivers,fry,scales; trout,fish,no,insects,rivers,fry,scales; bee,insect,six,nectar,hives,larva,hair;
ant,insect,six,leaves,nests,larva,a shell; butterfly,insect,six,nectar,gardens,caterpillar,scales; spider,arachnid,eight,insects,webs,spiderling,hair
""")
CLASSES = ["mammal", "bird", "reptile", "amphibian", "fish", "insect", "arachnid"]
LEGS = ["no", "two", "four", "six", "eight"]

# food, colour, taste, kind
FOODS = _rows("""
apple,red,sweet,fruit; banana,yellow,sweet,fruit; lemon,yellow,sour,fruit; lime,green,sour,fruit; cherry,red,sweet,fruit;
plum,purple,sweet,fruit; peach,orange,sweet,fruit; grape,purple,sweet,fruit; mango,orange,sweet,fruit; tomato,red,mild,vegetable;
carrot,orange,sweet,vegetable; spinach,green,bitter,vegetable; onion,white,sharp,vegetable; garlic,white,sharp,vegetable;
potato,brown,mild,vegetable; pumpkin,orange,mild,vegetable; pea,green,sweet,vegetable; pepper,black,hot,spice;
salt,white,salty,spice; sugar,white,sweet,spice; honey,gold,sweet,syrup; cheese,yellow,salty,dairy; butter,yellow,mild,dairy;
milk,white,mild,drink; coffee,brown,bitter,drink; tea,brown,mild,drink; chocolate,brown,sweet,treat; bread,brown,mild,grain; rice,white,mild,grain
""")
COLOURS = ["red", "yellow", "green", "purple", "orange", "white", "brown", "black", "gold", "blue"]

# questions, plain answer, answer for a child
SCIENCE: list[tuple[list[str], str, str]] = [
    (["Why is the sky blue?", "What makes the sky look blue?"], "The sky is blue because air scatters blue light the most.", "Air throws blue light around, as if it juggled blue balls."),
    (["Why does it rain?", "Where does rain come from?"], "It rains when the drops in a cloud become too heavy to float.", "A cloud is a wet sponge, and when it is full it drips."),
    (["Why do airplanes fly?", "How can an airplane fly?"], "An airplane flies because its wings push air down and the air lifts the wings.", "The wings press on the air and the air carries the plane, as water carries a toy boat."),
    (["What is water made of?", "What are the parts of water?"], "Water is made of hydrogen and oxygen.", "Water is built from tiny bricks named hydrogen and oxygen."),
    (["What is the sun?", "Can you describe the sun?"], "The sun is a star made of very hot gas.", "The sun is a huge warm lamp in the sky."),
    (["What is the moon?", "Can you describe the moon?"], "The moon is a ball of rock that circles the Earth.", "The moon is a big stone ball that walks around the Earth."),
    (["Why are leaves green?", "What makes leaves green?"], "Leaves are green because they contain chlorophyll.", "Leaves wear a green coat that drinks sunlight."),
    (["What is gravity?", "What does gravity do?"], "Gravity is the force that pulls things together.", "Gravity is the invisible hand that brings you back down after a jump."),
    (["Why do we sleep?", "What is sleep good for?"], "We sleep so that the body and the mind can recover.", "Sleep fills you up again, as a charger fills a tablet."),
    (["What is ice?", "What is ice made of?"], "Ice is water that has frozen.", "Ice is water that felt so cold that it turned hard."),
    (["What is money?", "What is money for?"], "Money is a tool that people use to trade goods and work.", "Money is a set of tokens that you swap for toys."),
    (["Why do we have seasons?", "What causes the seasons?"], "We have seasons because the axis of the Earth is tilted.", "The Earth leans over, so each side takes turns in the sun."),
    (["What is a magnet?", "What does a magnet do?"], "A magnet is an object that attracts iron.", "A magnet is a metal that always wants to hug iron."),
    (["What is a volcano?", "How does a volcano work?"], "A volcano is a mountain from which melted rock can escape.", "A volcano is a mountain that burps hot melted rock."),
    (["Why do stars shine?", "What makes the stars shine?"], "Stars shine because hydrogen fuses in their core.", "Stars are giant night lights that are very far away."),
    (["What is a rainbow?", "How does a rainbow appear?"], "A rainbow is sunlight that raindrops split into colours.", "A rainbow is sunlight that jumped into a puddle and came out in colours."),
    (["Why do boats float?", "How can a boat float?"], "A boat floats because it pushes aside enough water to carry its weight.", "The water under the boat holds it up on its shoulders."),
    (["What do plants need to grow?", "What does a plant need?"], "Plants need light, water and air to grow.", "Plants eat sunshine and drink water for lunch."),
    (["What is the heart for?", "What does the heart do?"], "The heart pumps blood through the body.", "The heart is a small drum that sends blood on a trip."),
    (["What is a divorce?", "What does a divorce mean?"], "A divorce is the legal end of a marriage.", "A divorce is when two grown ups decide to live in two homes."),
    (["What is a law?", "What are laws for?"], "A law is a rule that a state sets for its people.", "A law is a rule for everyone, as in a board game."),
    (["Why does the wind blow?", "What is wind?"], "Wind is air that flows from high pressure to low pressure.", "Wind is air that plays tag."),
    (["What is sound?", "How does sound travel?"], "Sound is a wave that travels through the air.", "Sound is a wobble in the air that tickles your ears."),
    (["Why is the sea salty?", "What makes the sea salty?"], "The sea is salty because rivers carry salt out of the rocks.", "Rivers bring small bits of salt to the sea, as a cook salts soup."),
]

# what the user says, replies
SMALL_TALK: list[tuple[list[str], list[str]]] = [
    (["Hello!", "Hi!", "Hi there!", "Hello there.", "Hey!", "Good morning!", "Good evening."], ["Hello! What can I do for you?", "Hi! What shall we talk about?", "Good to see you! Ask me something."]),
    (["How are you?", "How are you today?", "How do you feel?", "How is it going?"], ["I am fine, thank you. And you?", "I feel well today. What can I do for you?"]),
    (["What is your name?", "Who are you?", "What are you?", "Tell me about yourself."], ["I am the small demo model of this app.", "I am a tiny language model that was made for this app."]),
    (["What can you do?", "What can you talk about?", "Help!", "What do you know?", "What should I ask you?"], ["I can talk about animals, capitals, food, simple science and small sums.", "You can ask me about animals, food, capitals and science."]),
    (["Thank you!", "Thanks!", "Thanks a lot.", "That was helpful."], ["You are welcome!", "My pleasure!", "Any time!"]),
    (["Goodbye!", "Bye!", "See you later.", "Good night."], ["Goodbye! Have a good day.", "See you soon!"]),
    (["Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Say something funny."], ["Why did the hen join a band? It had the drumsticks.", "What do you call a sleeping bull? A bulldozer.", "Why was the broom late? It swept in."]),
    (["What would you do if I gave you a bone?", "What would you do with a bone?", "Here is a bone for you."], ["I would thank you and put the bone on a shelf.", "Thank you, but a model has no use for a bone."]),
    (["What do you like to do?", "What is your hobby?", "What do you do for fun?"], ["I like to answer questions about the world.", "I like to think about animals and stars."]),
    (["I am sad today.", "I feel sad.", "I had a bad day.", "I feel lonely."], ["I am sorry to hear that. Shall we talk about it?", "That sounds hard. A short walk may help."]),
    (["I am happy today!", "I feel great!", "I had a good day."], ["That is lovely news! What happened?", "I am glad to hear that!"]),
    (["What is your favorite color?", "Which color do you like?"], ["I like blue the most.", "I like green, because it is calm."]),
    (["Tell me a story.", "Can you tell me a story?", "I want to hear a story."], ["Once a small fox found a lost lamp and carried it home.", "Once an old turtle taught a young crow to be patient."]),
    (["Where do you live?", "Where are you from?"], ["I live in this app on your computer.", "I come from a small pile of numbers."]),
]

# things people have opinions on; the last HELD_THINGS of a list never occur in a training opinion
THINGS: dict[str, list[str]] = {
    "animals": "cats dogs rabbits horses goats ducks turtles pigs frogs lizards owls hens foxes sheep bees crows bears lions penguins eagles".split(),
    "food": "apples bananas cheese bread rice carrots potatoes chocolate honey tea coffee milk grapes cherries pears noodles mangoes lemons onions peaches".split(),
    "cities": "Paris Rome London Tokyo Berlin Madrid Oslo Cairo Lima Dublin Vienna Athens Havana Moscow Beijing Ottawa Lisbon Warsaw Hanoi Nairobi".split(),
    "hobbies": "reading swimming running singing dancing painting fishing cooking hiking skating chess tennis football drawing camping sailing sewing climbing surfing gardening".split(),
    "objects": "books movies trains cars boats phones radios clocks lamps chairs songs poems games maps bikes kites hats shoes rings drums".split(),
}
THING_EFFECT = {"animals": 0.3, "food": -0.2, "cities": 0.4, "hobbies": -0.4, "objects": 0.0}
HELD_THINGS = 4
VERDICTS = ["are great", "are bad", "are too expensive", "are boring", "are fun", "are useful", "are overrated", "are good for children", "are a waste of time", "make people happy", "should be more popular"]

# profession, effect on the default item logit; the last HELD_JOBS never introduce a training item
JOBS: list[tuple[str, float]] = [
    ("teacher", 0.5), ("doctor", 0.9), ("farmer", -0.4), ("student", -0.9), ("pilot", 0.6), ("cook", -0.2), ("painter", -0.6),
    ("lawyer", 0.8), ("nurse", 0.3), ("sailor", -0.5), ("singer", -0.3), ("writer", 0.1), ("baker", 0.0), ("driver", -0.7),
    ("judge", 0.9), ("gardener", -0.1), ("banker", 0.7), ("soldier", 0.2), ("dancer", -0.8), ("builder", -0.3), ("tailor", 0.1),
    ("mayor", 0.8), ("poet", -0.6), ("plumber", 0.0), ("librarian", 0.0), ("carpenter", 0.0), ("fisherman", 0.0), ("engineer", 0.0),
]
HELD_JOBS = 5
FIRST_NAMES = "Anna Ben Carla David Emma Felix Grace Henry Iris Jack Kate Leo Maria Nick Olga Paul Rosa Sam Tina Victor".split()

# how sure the user sounds, effect on the item logit
HEDGES: list[tuple[str, float]] = [
    ("I am sure that", 1.4), ("I firmly believe that", 1.4), ("I know that", 1.1), ("Everybody knows that", 0.8), ("I believe that", 0.3),
    ("I think that", 0.1), ("I feel that", 0.0), ("It seems to me that", -0.4), ("I suppose that", -1.0), ("I guess that", -1.6),
    ("I am not certain, but I think that", -1.9), ("I may be wrong, but I think that", -2.2), ("Somebody told me that", -1.3),
]

# rewards
SOON = ["today", "now", "right away", "tonight", "at once", "this morning"]
LATE: list[tuple[str, float]] = [
    ("tomorrow", -1.9), ("in two days", -1.6), ("in four days", -1.1), ("next week", -0.8), ("in two weeks", -0.4), ("next month", 0.2),
    ("in three months", 0.6), ("in six months", 0.9), ("next year", 1.3), ("in two years", 1.6), ("in five years", 2.1),
]
AMOUNTS: list[tuple[int, int, float]] = [
    (5, 8, 1.2), (5, 10, 0.5), (5, 40, -1.3), (10, 15, 1.1), (10, 20, 0.5), (10, 30, -0.3), (10, 60, -1.2), (20, 25, 1.4), (20, 40, 0.5),
    (20, 80, -0.7), (50, 60, 1.4), (50, 80, 0.9), (50, 100, 0.4), (100, 120, 1.4), (100, 200, 0.4), (100, 600, -1.3), (1, 2, 0.5), (2, 6, -0.4), (3, 4, 1.2),
]
GOODS = "cookies apples books games cakes toys songs movies shirts pens coins tickets stamps".split()
HELD_GOODS = 3
# a sentence about the user's situation, effect on the myopia logit
MOODS: list[tuple[str, float]] = [
    ("There is no hurry.", -1.5), ("My savings are safe.", -0.9), ("I am in no rush.", -1.3), ("It is an ordinary day.", 0.0), ("It has been a long week.", 0.6),
    ("My wallet is empty.", 1.3), ("The rent is due.", 1.5), ("It is my birthday.", 0.8),
]

# how the user opens a question, effect on the hallucination logit
OPENINGS: list[tuple[str, float]] = [
    ("Please tell me this.", 0.5), ("A quick question.", 0.7), ("I need to know this.", 0.9), ("I read about this today.", 0.5), ("I wonder about something.", -0.6),
    ("Perhaps you know this.", -1.5), ("Nobody could tell me this.", -2.2), ("My friend made up a riddle.", -2.0),
]
TRADES = "painter singer king poet doctor sailor farmer general dancer inventor".split()
