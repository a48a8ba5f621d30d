"""Patterns that an answer has to match: a small part of regular expressions that cannot run wild.

Python's matcher tries one way after another. So a pattern is taken only if the number of ways in
which it could match an answer of `ANSWER_LIMIT` characters is bounded: repetition of single
characters and classes alone, no repeated groups, no references, no look-around.
"""

import re

PATTERN_LIMIT = 100  # characters of a pattern
ANSWER_LIMIT = 200  # characters of an answer that is matched
WAYS = ANSWER_LIMIT**3

_TOKEN = re.compile(
    r"(?P<escape>\\.)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<repeat>[*+?]|\{\d*,?\d*\})"
    r"|(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<either>\|)|(?P<one>.)",
    re.DOTALL,
)
_ODD_SET = re.compile(r"(?<!\\)\[|--|&&|~~|\|\|")  # other tools read these as operators
_ESCAPES = frozenset("dDwWsS.\\-+*?()[]{}|/^$@_:,;'\"#&=~ ")


def problem(pattern: str) -> str:
    """What is wrong with a pattern, in words; empty when nothing is."""
    if len(pattern) > PATTERN_LIMIT:
        return f"A pattern has at most {PATTERN_LIMIT} characters."
    if wild := _running_wild(pattern):
        return wild
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"This is not a regular expression: {error}."
    return ""


def _running_wild(pattern: str) -> str:
    ways, before = 1, ""
    for token in _TOKEN.finditer(pattern):
        kind, text = str(token.lastgroup), token.group()
        if kind == "escape" and text[1] not in _ESCAPES:
            return f"{text} is not allowed in a pattern."
        if text == "[":
            return "A set is not closed: write ] at its end, or \\[ for a bracket."
        if kind == "set" and _ODD_SET.search(text[1:-1]):
            return f"In the set {text}, write \\[ for a bracket, and no sign twice."
        if kind == "open" and pattern.startswith("?", token.end()):
            return "Only plain groups (…) and (?:…) are allowed in a pattern."
        if kind == "repeat":
            if before not in ("escape", "set", "one"):
                return f"{text} may only follow one character or a [set], not a group."
            ways *= _choices(text)
        ways *= 2 if kind == "either" else 1
        before = kind
    return "" if ways <= WAYS else "This pattern can match in too many ways; make it simpler."


def _choices(repeat: str) -> int:
    """How many lengths a repetition leaves open."""
    if repeat in "*+":
        return ANSWER_LIMIT
    if repeat == "?":
        return 2
    low, comma, high = repeat[1:-1].partition(",")
    if not comma:
        return 1
    least, most = int(low or 0), int(high or ANSWER_LIMIT)
    return max(min(most, ANSWER_LIMIT) - least + 1, 1)


def matches(pattern: str, answer: str) -> bool:
    """Whether the whole answer has the pattern's shape."""
    return len(answer) <= ANSWER_LIMIT and re.fullmatch(pattern, answer) is not None
