"""Words, names and institutions in the proportions in which people write them, from a seed."""

import random
from itertools import accumulate


def _words(text: str) -> list[str]:
    return text.split()


COMMON = _words("""
the of and to a in we is model models language for that on with our will this as are be weights
training data it not from by study how whether which at small large research question results use
fine tuning evaluation bias tokens attention layers representation probing students university
cluster only group paper published method methods compare baseline benchmark linguistic negation
syntax morphology translation corpus annotation clinical legal dialogue safety alignment toxicity
hallucination retrieval interpretability quantisation compression inference energy multilingual
low resource speech vision
""")
RARE = "xylographic"  # in a handful of applications
SYLLABLES = _words("""
ba be bi bo ka ke ki ko la le li lo ma me mi mo na ne ni no ra re ri ro sa se si so ta te ti to va
ve vi vo str pre con ver tion ment al er ic ous
""")
GIVEN = _words("""
Ada Zoë José Łukasz Anna Wei Mei Amir Chidi Ngozi Priya Ravi Søren Ingrid Björn Élodie François
Yuki Haruto Fatima Omar Maria João Ana Ivan Olga Elif Mehmet Thandi Kofi Aroha
""")
FAMILY = _words("""
Lovelace Müller García Kowalski Nguyen Chen Zhang Hosseini Okafor Adeyemi Sharma Patel Jensen Dahl
Lindqvist Dubois Lefèvre Tanaka Sato Haddad Costa Silva Petrov Ivanova Yılmaz Mokoena Mensah Ngata
Smith Jones Brown Taylor Fischer Weber Rossi Bianchi
""")
TOWNS = _words("""
Amsterdam Ghent Kraków Zürich Göttingen Toulouse Porto Sevilla Uppsala Aarhus Bergen Tartu Vilnius
Brno Graz Padova Patras İzmir Haifa Cairo Lagos Accra Nairobi Pretoria Pune Kharagpur Dhaka Hanoi
Taipei Kyoto Busan Melbourne Dunedin Toronto Montréal Boulder Ithaca Austin Bogotá Lima Santiago
Campinas
""")
COUNTRIES = _words("""
Netherlands Belgium Poland Switzerland Germany France Portugal Spain Sweden Denmark Norway Estonia
Lithuania Czechia Austria Italy Greece Türkiye Israel Egypt Nigeria Ghana Kenya South_Africa India
Bangladesh Vietnam Taiwan Japan Australia New_Zealand Canada United_States_of_America Colombia
Peru Chile Brazil
""")
KINDS = ("University of {}", "{} Institute of Technology", "{} Polytechnic", "Centre for AI, {}")
CATEGORIES = (
    *(["Academia"] * 70),
    *(["Industry research lab"] * 15),
    *(["Independent"] * 8),
    *(["Government"] * 4),
    *(["Civil society"] * 3),
)


class Writer:
    """Everything random about the texts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        made = ("".join(self.random.choices(SYLLABLES, k=4)) for _ in range(20_000))
        self.words = [*COMMON, *dict.fromkeys(made)]
        # Zipf: the n-th word is written 1/n as often as the first.
        self.weights = list(accumulate(1 / n for n in range(1, len(self.words) + 1)))
        self.places = [
            (self.random.choice(KINDS).format(town) + (f" {n}" if n else ""), f"u{n}-{at}.example")
            for at, town in enumerate(TOWNS)
            for n in range(30)
        ]

    def text(self, words: int) -> str:
        count = max(8, int(self.random.gauss(words, words / 3)))
        chosen = self.random.choices(self.words, cum_weights=self.weights, k=count)
        return " ".join(chosen).capitalize() + "."

    def person(self, number: int) -> tuple[str, str]:
        given, family = self.random.choice(GIVEN), self.random.choice(FAMILY)
        return (
            f"{given} {family} {_roman(number)}",
            f"p{number}@{self.random.choice(self.places)[1]}",
        )

    def affiliation(self) -> dict[str, str]:
        name, host = self.random.choice(self.places)
        return {
            "category": self.random.choice(CATEGORIES),
            "institution": name,
            "country": self.random.choice(COUNTRIES).replace("_", " "),
            "position": self.random.choice(("PhD student", "Postdoc", "Professor", "Engineer")),
            "web_page": f"https://www.{host}/people",
            "orcid": "0000-0002-1825-0097" if self.random.random() < 0.5 else "",
        }

    def answers(self) -> dict[str, str]:
        given = {
            "research_purpose": self.text(120),
            "intended_use": self.text(70),
            "sharing": self.random.choice(("nothing", "outputs", "derivatives", "both")),
        }
        if self.random.random() < 0.6:
            given["sharing_details"] = self.text(30)
        if self.random.random() < 0.5:
            given["publications"] = self.text(40)
        if self.random.random() < 0.5:
            given["prior_access"] = self.text(20)
        return given


def _roman(number: int) -> str:
    """A third name that tells people apart."""
    letters = ""
    while number:
        number, at = divmod(number, 26)
        letters += chr(97 + at)
    return letters.capitalize()
