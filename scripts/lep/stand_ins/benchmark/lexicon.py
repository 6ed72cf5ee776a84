"""Word lists: (Russian lemma, English singular, English plural) for bilingual questions, and parts of the Bible."""

PERSONS = (
    ("моисей", "Moses"),
    ("аарон", "Aaron"),
    ("авраам", "Abraham"),
    ("исаак", "Isaac"),
    ("иаков", "Jacob"),
    ("иосиф", "Joseph"),
    ("ной", "Noah"),
    ("адам", "Adam"),
    ("лот", "Lot"),
    ("сарра", "Sarah"),
    ("давид", "David"),
    ("саул", "Saul"),
    ("соломон", "Solomon"),
    ("самуил", "Samuel"),
    ("илия", "Elijah"),
    ("даниил", "Daniel"),
    ("иеремия", "Jeremiah"),
    ("иов", "Job"),
    ("иисус", "Jesus"),
    ("петр", "Peter"),
    ("павел", "Paul"),
    ("иоанн", "John"),
    ("мария", "Mary"),
)
# fmt: off
WOMEN = frozenset((
    "сарра", "сара", "ревекка", "рахиль", "лия", "мария", "мариам", "ноеминь", "руфь", "есфирь", "елисавета",
    "марфа", "анна", "агарь", "мелхола", "вирсавия", "иезавель", "ева", "раав", "девора", "юдифь", "фамарь",
))
# fmt: on
SOCIETY = (
    ("сын", "son", "sons"),
    ("дочь", "daughter", "daughters"),
    ("отец", "father", "fathers"),
    ("мать", "mother", "mothers"),
    ("брат", "brother", "brothers"),
    ("жена", "wife", "wives"),
    ("царь", "king", "kings"),
    ("раб", "servant", "servants"),
    ("народ", "people", "peoples"),
    ("священник", "priest", "priests"),
    ("город", "city", "cities"),
    ("дом", "house", "houses"),
    ("князь", "prince", "princes"),
    ("враг", "enemy", "enemies"),
    ("закон", "law", "laws"),
)
NATURE = (
    ("земля", "earth", "lands"),
    ("небо", "heaven", "heavens"),
    ("небо", "sky", "skies"),
    ("вода", "water", "waters"),
    ("огонь", "fire", "fires"),
    ("море", "sea", "seas"),
    ("гора", "mountain", "mountains"),
    ("камень", "stone", "stones"),
    ("свет", "light", "lights"),
    ("тьма", "darkness", "darkness"),
    ("дерево", "tree", "trees"),
    ("солнце", "sun", "suns"),
    ("ветер", "wind", "winds"),
    ("река", "river", "rivers"),
    ("золото", "gold", "gold"),
    ("серебро", "silver", "silver"),
    ("трава", "grass", "grass"),
    ("птица", "bird", "birds"),
    ("день", "day", "days"),
    ("ночь", "night", "nights"),
)
NUMBERS = (
    ("два", "two"),
    ("три", "three"),
    ("четыре", "four"),
    ("пять", "five"),
    ("шесть", "six"),
    ("семь", "seven"),
    ("восемь", "eight"),
    ("девять", "nine"),
    ("десять", "ten"),
    ("двенадцать", "twelve"),
    ("двадцать", "twenty"),
    ("тридцать", "thirty"),
    ("сорок", "forty"),
    ("пятьдесят", "fifty"),
    ("семьдесят", "seventy"),
)
# (number of the last book, name) of each part. The Russian edition of the corpus has its books in the English order.
PARTS = ((5, "закон"), (17, "история"), (22, "поэзия"), (39, "пророки"), (44, "евангелие"), (66, "послания"))
SOFTWARE = "программы"


def part_of(document: str) -> str:
    """Part of the Bible of a document `bible/NN/CCC`; `SOFTWARE` for interface strings."""
    if not document.startswith("bible/"):
        return SOFTWARE
    book = int(document.split("/")[1])
    return next(part for last, part in PARTS if book <= last)
