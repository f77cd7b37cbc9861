"""Captions like those of the web, the same at every run; one in twenty has accents, entities or emoji."""

import random

PATTERNS = (
    "a photo of a {adjective} {thing}.",
    "{adjective} {thing} {doing} {place}",
    "A {adjective} {thing} and a {thing2} {doing} {place}, {year}",
    "The {thing}'s {adjective} {thing2} - stock photo #{number}",
    "{Place}: {thing} {doing} with two {thing2}s, photographed by {name} in {year}",
    "itap of my {thing} {doing} {place}!",
    "a close-up photo of the {adjective} {thing} {doing} {place} on a {adjective2} day, high resolution, {number}px",
)
PATTERNS_MARKED_UP = (
    "Café {Place} &amp; {thing} “{adjective}”",
    "{name}’s {thing} — {adjective} {thing2}… 🐶",
    "Crème brûlée &quot;{thing}&quot; à {Place} &#39;{number}",
)
WORDS = {
    "adjective": (
        "small big red blue old new happy sleepy wet rusty wooden golden blurry bright dark tiny fluffy plastic "
        "beautiful vintage modern abandoned colourful striped frozen empty crowded quiet handmade weird"
    ),
    "thing": (
        "dog cat horse bicycle aeroplane lighthouse teapot violin tabby goldfish hen ostrich bulbul jay magpie "
        "vulture salamander axolotl bullfrog turtle iguana alligator triceratops kingsnake boa mamba tarantula "
        "tick grouse peacock quail macaw hornbill toucan goose platypus wallaby koala wombat jellyfish coral "
        "flatworm snail lobster crab stork flamingo bittern crane pelican albatross chihuahua papillon beagle "
        "bloodhound whippet terrier poodle dalmatian husky corgi dingo hyena fox tiger cheetah bear mongoose "
        "ladybug weevil bee cricket mantis cicada dragonfly starfish hare porcupine marmot beaver zebra warthog "
        "hippopotamus bison ibex gazelle llama otter badger sloth orangutan lemur abacus accordion ambulance "
        "apron backpack balloon banjo barn barrel bathtub binoculars bookcase bottle bow bridge broom bucket "
        "cannon canoe cardigan carousel castle cello chainsaw clock coffeemaker drum envelope espresso ferry "
        "fountain guitar hammer harp helmet jeep kimono ladle lampshade laptop limousine mailbox maraca "
        "microscope mosque necklace obelisk oboe parachute pier pretzel cheeseburger broccoli zucchini mushroom "
        "strawberry pineapple pizza burrito volcano cliff geyser lakeside daisy acorn"
    ),
    "doing": "running sleeping standing jumping resting waiting shining floating parked playing sitting lying flying",
    "place": (
        "in the snow|on the beach|under a tree|in the kitchen|at night|near the harbour|on a wooden table|by the "
        "lake|in front of the museum|at the market|on a rooftop|in the fog|behind the old school|along the "
        "railway"
    ),
    "name": "Anna James Yuki Mohamed Lucia Peter Ingrid Wei Fatima Carlos Olga Kofi Priya Tom Zofia",
}


def make_captions(count: int) -> list[str]:
    rng = random.Random(0)
    words = {key: text.split("|" if "|" in text else " ") for key, text in WORDS.items()}
    captions = []
    for _ in range(count):
        pattern = rng.choice(PATTERNS_MARKED_UP if rng.random() < 0.05 else PATTERNS)
        drawn = {key: rng.choice(choices) for key, choices in words.items()}
        drawn |= {"thing2": rng.choice(words["thing"]), "adjective2": rng.choice(words["adjective"])}
        drawn |= {"Place": drawn["place"].split()[-1].title()}
        captions.append(pattern.format(**drawn, year=rng.randint(1950, 2025), number=rng.randint(1, 999_999)))
    return captions
