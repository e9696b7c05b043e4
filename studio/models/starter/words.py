"""Words that the starter model's text is made of, and names that nobody has heard before."""

from random import Random


def listed(text: str) -> tuple[str, ...]:
    """The words of a line of text."""
    return tuple(text.split())


FIRST_NAMES = tuple(
    listed(
        "Adam Alice Amir Anna Ben Bella Carl Clara Dan Dora Emil Emma Finn Freya Grace Gus Hana Hugo Ines Ivan Jack Jane "
        "Kai Kate Leo Lily Max Mia Nina Noah Olga Omar Pam Paul Rosa Ruth Sam Sara Tess Tim Uma Vera Will Zoe"
    )
)
COUNTRIES = {
    "France": "Paris", "Spain": "Madrid", "Italy": "Rome", "Germany": "Berlin", "Portugal": "Lisbon",
    "Greece": "Athens", "Poland": "Warsaw", "Austria": "Vienna", "Sweden": "Stockholm", "Norway": "Oslo",
    "Finland": "Helsinki", "Denmark": "Copenhagen", "Ireland": "Dublin", "Belgium": "Brussels", "Hungary": "Budapest",
    "Iceland": "Reykjavik", "Russia": "Moscow", "Turkey": "Ankara", "Egypt": "Cairo", "Kenya": "Nairobi",
    "Morocco": "Rabat", "Ghana": "Accra", "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi",
    "Thailand": "Bangkok", "Vietnam": "Hanoi", "South Korea": "Seoul", "Nepal": "Kathmandu", "Canada": "Ottawa",
    "Mexico": "Mexico City", "Cuba": "Havana", "Brazil": "Brasilia", "Peru": "Lima", "Chile": "Santiago",
    "Argentina": "Buenos Aires", "Colombia": "Bogota", "Australia": "Canberra", "the Netherlands": "Amsterdam",
    "Switzerland": "Bern",
}  # fmt: skip
OPPOSITES = tuple(
    pair.split("/")
    for pair in listed(
        "hot/cold big/small tall/short fast/slow old/young happy/sad light/dark up/down left/right open/closed "
        "wet/dry hard/soft early/late full/empty rich/poor strong/weak clean/dirty day/night high/low thick/thin "
        "loud/quiet good/bad true/false first/last inside/outside above/below long/brief sweet/bitter near/far "
        "cheap/expensive easy/difficult safe/dangerous smooth/rough brave/afraid wide/narrow heavy/weightless "
        "begin/end win/lose buy/sell give/take push/pull"
    )
)
SOUNDS = dict(
    pair.split("/")
    for pair in listed(
        "dog/barks cat/meows cow/moos sheep/bleats horse/neighs pig/oinks duck/quacks lion/roars wolf/howls "
        "owl/hoots bee/buzzes snake/hisses frog/croaks bird/chirps mouse/squeaks rooster/crows"
    )
)
YOUNG = dict(
    pair.split("/")
    for pair in listed(
        "dog/puppy cat/kitten cow/calf horse/foal sheep/lamb lion/cub duck/duckling goose/gosling frog/tadpole "
        "goat/kid pig/piglet hen/chick"
    )
)
HOMES = dict(
    pair.split("/")
    for pair in listed(
        "bird/nest bee/hive dog/kennel horse/stable spider/web bear/den fox/burrow ant/anthill cow/barn rabbit/hole"
    )
)
COLOURS_OF = dict(
    pair.split("/")
    for pair in listed(
        "grass/green snow/white coal/black blood/red banana/yellow sky/blue carrot/orange lemon/yellow "
        "chocolate/brown milk/white tomato/red elephant/gray"
    )
)
GROUPS = {
    "fruit": listed("apple banana pear grape peach plum cherry mango lemon orange"),
    "animal": listed("dog cat horse lion tiger bear rabbit fox wolf sheep"),
    "color": listed("red blue green yellow white black brown pink purple gray"),
    "vegetable": listed("carrot onion potato cabbage pea bean spinach leek pumpkin radish"),
    "tool": listed("hammer saw drill wrench spade shovel rake axe file chisel"),
    "metal": listed("iron gold silver copper tin lead zinc nickel"),
    "drink": listed("water milk tea coffee juice lemonade cocoa cider"),
    "sport": listed("football tennis hockey golf rugby cricket swimming rowing"),
    "instrument": listed("piano violin guitar flute drum trumpet harp cello"),
    "flower": listed("rose tulip daisy lily violet poppy orchid sunflower"),
    "bird": listed("eagle owl robin swan crow parrot duck pigeon"),
    "insect": listed("ant bee fly wasp beetle moth gnat butterfly"),
}  # fmt: skip
USES = {
    "knife": "cut things", "pen": "write", "broom": "sweep the floor", "key": "open a lock", "cup": "drink",
    "bed": "sleep", "oven": "bake food", "lamp": "give light", "umbrella": "stay dry in the rain",
    "clock": "tell the time", "hammer": "hit nails", "ruler": "measure length", "soap": "wash", "spoon": "eat soup",
    "map": "find the way", "boat": "cross water", "needle": "sew", "towel": "dry yourself", "bag": "carry things",
    "camera": "take pictures",
}  # fmt: skip
DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = listed("January February March April May June July August September October November December")
NUMBERS = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
PLURALS = dict(
    pair.split("/")
    for pair in listed(
        "cat/cats box/boxes child/children mouse/mice foot/feet man/men woman/women city/cities leaf/leaves "
        "dog/dogs baby/babies knife/knives tooth/teeth goose/geese bus/buses"
    )
)
PASTS = dict(
    pair.split("/")
    for pair in listed(
        "go/went see/saw eat/ate run/ran write/wrote buy/bought give/gave take/took sing/sang swim/swam "
        "walk/walked play/played find/found make/made come/came think/thought"
    )
)
SHAPES = {"triangle": 3, "square": 4, "rectangle": 4, "pentagon": 5, "hexagon": 6, "octagon": 8}
LEGS = {"dog": 4, "cat": 4, "bird": 2, "spider": 8, "ant": 6, "horse": 4, "bee": 6, "duck": 2, "crab": 10}

MATERIALS = tuple(
    listed(
        "oak pine birch steel copper brass glass cotton wool linen leather bamboo clay stone marble paper rubber silk "
        "plastic tin iron bronze felt cork walnut maple ceramic aluminium canvas concrete"
    )
)
COLOURS = tuple(listed("red blue green yellow white black brown pink purple gray orange silver gold cream"))
CITIES = tuple(v for v in COUNTRIES.values() if v != "Reykjavik")
PLAIN_WORDS = tuple(
    listed(
        "Maple Harbor Sunrise River Falcon Meadow Willow Storm Silver Pearl Coral Ember Frost Canyon Breeze Clover Summit "
        "Raven Cedar Lotus Comet Tiger Ivory Velvet Amber Cobalt Dune Orchard Prairie Glacier Lantern Anchor Beacon Echo "
        "Hazel Ivy Jasper Koala Lark Mango Nova Onyx Panda Quartz Robin Sage Topaz Umber Viola Wren Zephyr North South "
        "Golden Royal Green Bright Swift Grand Little Happy Star Moon"
    )
)
_SIMPLE = tuple(listed("b c d f g h j k l m n p r s t v w z"))
_ONSETS = (*_SIMPLE, *_SIMPLE, *_SIMPLE, *listed("br cl cr dr fl fr gl gr kl pl pr qu sh sk sl sm sp st tr y th ch"))
_VOWELS = (*"aeiouaeiouaeiou", *listed("ai ea ee ia io oo ou"))
_MIDDLES = (*_SIMPLE, *_SIMPLE, *listed("ll nn rr ss tt nd nt rk rl rn rt lt ld mb sk st"))
_CODAS = ("", "", "", "", *listed("n r l s m t x nd rn ll ss ck th"))
_ENDINGS = tuple(listed("a o i e y on an in en el ar or ex ix us is ia ora ella ino era ova ent"))


def invented_name(rng: Random) -> str:
    """A capitalised name of one to three syllables, such as "Velora", "Brontin" or "Kest"."""
    name = rng.choice(_ONSETS) + rng.choice(_VOWELS)
    shape = rng.random()
    if shape < 0.15:
        return (name + rng.choice(_CODAS[4:])).capitalize()
    if shape < 0.35:
        name += rng.choice(_MIDDLES) + rng.choice(_VOWELS)
    return (name + rng.choice(_MIDDLES) + rng.choice(_ENDINGS) + ("" if shape < 0.85 else rng.choice(_CODAS))).capitalize()


def any_name(rng: Random) -> str:
    """A name for a thing: mostly invented, sometimes of plain words, sometimes with a number."""
    draw = rng.random()
    if draw < 0.55:
        name = invented_name(rng)
    elif draw < 0.8:
        name = rng.choice(PLAIN_WORDS)
    elif draw < 0.9:
        name = " ".join(rng.sample(PLAIN_WORDS, 2))
    else:
        name = (
            rng.choice((invented_name(rng), rng.choice(PLAIN_WORDS)))
            + rng.choice((" ", " ", "-"))
            + str(rng.choice((1, 2, 3, 4, 5, 7, 8, 9, 10, 20, 50, 100, 200, 300, 500, 700, 900)))
        )
    return name


def person(rng: Random) -> str:
    """A full name with an invented family name."""
    return f"{rng.choice(FIRST_NAMES)} {invented_name(rng)}"
