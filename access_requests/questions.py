"""The questions of a form: what they may look like, and the ones to start from."""

from collections.abc import Iterable, Mapping
from typing import Any, NotRequired, TypedDict

from django.template.defaultfilters import filesizeformat
from django_countries import countries

from access_requests import numbers, patterns

TEXT_LIMIT = 200
LONG_TEXT_LIMIT = 4000
QUESTIONS_LIMIT = 100
ROWS_LIMIT = 50  # of a table's answer
TYPES: Mapping[str, str] = {
    "text": "Text",
    "long_text": "Long text",
    "choice": "Choice",
    "multiple_choice": "Multiple choice",
    "boolean": "Checkbox",
    "date": "Date",
    "number": "Number",
    "url": "URL",
    "email": "E-mail",
    "country": "Country",
    "table": "Table of rows",
    "attachment": "Attachment",
    "heading": "Heading",
    "explanation": "Explanation",
}
SILENT = frozenset({"heading", "explanation"})  # they say something, and ask nothing
TEXTS = frozenset({"text", "long_text", "url", "email"})
DECIDING = frozenset({"choice", "multiple_choice", "boolean"})  # what `show_if` may look at


class ShowIf(TypedDict):
    """Ask only if the earlier question `key` is answered so: a choice's value, or true or false."""

    key: str
    equals: str | bool


class Question(TypedDict):
    """One question. `choices` are [value, label] pairs of a (multiple) choice, `columns` are
    [key, label] pairs of a table.

    A required `boolean` must be ticked; to ask yes or no, use `choice`. Headings and explanations
    have a key too, so that `show_if` and the comparison of versions treat all alike.
    """

    key: str
    label: str
    type: str
    required: NotRequired[bool]
    help: NotRequired[str]
    max_length: NotRequired[int]
    choices: NotRequired[list[list[str]]]
    columns: NotRequired[list[list[str]]]
    pattern: NotRequired[str]
    pattern_hint: NotRequired[str]
    show_if: NotRequired[ShowIf]


DEFAULT_QUESTIONS: list[Question] = [
    {
        "key": "research_purpose",
        "label": "What do you want to find out?",
        "type": "long_text",
        "required": True,
        "help": "The research question, and why it needs the weights.",
        "max_length": LONG_TEXT_LIMIT,
    },
    {
        "key": "intended_use",
        "label": "What will you do with the model?",
        "type": "long_text",
        "required": True,
        "help": "For example: fine-tune on a corpus, measure bias, study its inner states. "
        "Where will it run, and who else can reach it?",
        "max_length": LONG_TEXT_LIMIT,
    },
    {
        "key": "sharing",
        "label": "Will you share outputs or derivatives?",
        "type": "choice",
        "required": True,
        "help": "Derivatives are, for example, fine-tuned weights or weight differences.",
        "choices": [
            ["nothing", "Neither"],
            ["outputs", "Outputs, for example in a paper or as a data set"],
            ["derivatives", "Derivatives of the weights"],
            ["both", "Outputs and derivatives"],
            ["undecided", "Not decided yet"],
        ],
    },
    {
        "key": "sharing_details",
        "label": "If you share something: what, with whom, and how?",
        "type": "long_text",
        "help": "Leave it empty if you share nothing.",
        "max_length": 2000,
    },
    {
        "key": "publications",
        "label": "Publications of yours that show your field",
        "type": "long_text",
        "help": "Titles, links or DOIs, one a line. Students may name their supervisor's.",
        "max_length": LONG_TEXT_LIMIT,
    },
    {
        "key": "prior_access",
        "label": "Have you or your group had gated weights before?",
        "type": "long_text",
        "help": "Which, from whom, and what came of it. An honest no is a good answer.",
        "max_length": 2000,
    },
]


def limit(question: Question) -> int:
    """How many characters the answer may have."""
    kind = question["type"]
    if question.get("pattern"):
        return min(question.get("max_length") or patterns.ANSWER_LIMIT, patterns.ANSWER_LIMIT)
    default = LONG_TEXT_LIMIT if kind == "long_text" else TEXT_LIMIT
    return question.get("max_length") or (2000 if kind == "url" else default)


def asked(questions: Iterable[Question]) -> list[Question]:
    """Those that take an answer."""
    return [question for question in questions if question["type"] not in SILENT]


def hidden(questions: Iterable[Question], answers: Mapping[str, Any]) -> set[str]:
    """The keys of the questions that these answers leave unasked."""
    unasked: set[str] = set()
    for question in questions:
        rule = question.get("show_if")
        if rule and (rule["key"] in unasked or not _holds(rule, answers.get(rule["key"]))):
            unasked.add(question["key"])
    return unasked


def _holds(rule: ShowIf, answer: Any) -> bool:
    if isinstance(answer, list):
        return rule["equals"] in answer
    if isinstance(rule["equals"], bool):
        return bool(answer) is rule["equals"]
    return bool(answer == rule["equals"])


def condition(question: Question, questions: Iterable[Question]) -> str:
    """When the question is asked, in words; empty when it always is."""
    rule = question.get("show_if")
    if not rule:
        return ""
    other = next(one for one in questions if one["key"] == rule["key"])
    if other["type"] == "boolean":
        answer = "ticked" if rule["equals"] else "not ticked"
        return f"Only if “{other['label']}” is {answer}."
    answer = dict(other.get("choices", [])).get(str(rule["equals"]), str(rule["equals"]))
    return f"Only if “{other['label']}” is answered “{answer}”."


def shown(question: Question, answer: Any) -> str:
    """An answer as a person reads it; empty when there is none."""
    if answer is None or answer == "" or answer == []:
        return ""
    match question["type"]:
        case "boolean":
            return "Yes" if answer else "No"
        case "choice":
            return dict(question.get("choices", [])).get(answer, str(answer))
        case "multiple_choice" if isinstance(answer, list):
            labels = dict(question.get("choices", []))
            return "\n".join(labels.get(one, str(one)) for one in answer)
        case "number" if isinstance(answer, int | float):
            return numbers.written(answer)
        case "country":
            return str(countries.name(answer) or answer)
        case "table" if isinstance(answer, list):
            return "\n".join(_row(question, row) for row in answer)
        case "attachment" if isinstance(answer, dict):
            return f"{answer['name']} ({filesizeformat(answer['size'])})"
    return str(answer)


def _row(question: Question, row: Mapping[str, str]) -> str:
    cells = [(label, row.get(key)) for key, label in question.get("columns", [])]
    return "; ".join(f"{label}: {cell}" for label, cell in cells if cell)
