"""The questions of a form: what they may look like, and the ones to start from."""

from typing import Any, NotRequired, TypedDict

TEXT_LIMIT = 200
LONG_TEXT_LIMIT = 4000
TYPES = ("text", "long_text", "choice", "boolean", "url", "number")


class Question(TypedDict):
    """One question. `choices` are [value, label] pairs, for the type `choice` alone.

    A required `boolean` must be ticked; to ask yes or no, use `choice`.
    """

    key: str
    label: str
    type: str
    required: NotRequired[bool]
    help: NotRequired[str]
    max_length: NotRequired[int]
    choices: NotRequired[list[list[str]]]


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
    default = LONG_TEXT_LIMIT if question["type"] == "long_text" else TEXT_LIMIT
    return question.get("max_length") or (2000 if question["type"] == "url" else default)


def problems(questions: Any) -> list[str]:
    """What is wrong with a list of questions, in words for the person who wrote it; empty when
    nothing is.
    """
    if not isinstance(questions, list) or not questions:
        return ["A form is a list of at least one question."]
    found: list[str] = []
    keys: list[Any] = []
    for number, question in enumerate(questions, 1):
        if not isinstance(question, dict):
            found.append(f"Question {number} must be an object with key, label and type.")
            continue
        keys.append(question.get("key"))
        found += [f"Question {number}: {line}" for line in _problems_of(question)]
    found += [f"The key {key!r} is used twice." for key in {k for k in keys if keys.count(k) > 1}]
    return found


def _problems_of(question: dict[str, Any]) -> list[str]:
    found = []
    key = question.get("key")
    if not isinstance(key, str) or not key.isidentifier():
        found.append("`key` must be a word of letters, digits and _.")
    if not isinstance(question.get("label"), str) or not question["label"].strip():
        found.append("`label` is missing.")
    if question.get("type") not in TYPES:
        found.append(f"`type` must be one of {', '.join(TYPES)}.")
    length = question.get("max_length", 1)
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        found.append("`max_length` must be a positive number.")
    if question.get("type") == "choice" and not _are_choices(question.get("choices")):
        found.append("`choices` must be a list of [value, label] pairs.")
    unknown = sorted(set(question) - set(Question.__annotations__))
    if unknown:
        found.append(f"unknown: {', '.join(unknown)}.")
    return found


def _are_choices(choices: Any) -> bool:
    return (
        isinstance(choices, list)
        and bool(choices)
        and all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(x, str) and x for x in pair)
            for pair in choices
        )
    )


def shown(question: Question, answer: Any) -> str:
    """An answer as a person reads it; empty when there is none."""
    if answer is None or answer == "":
        return ""
    if question["type"] == "boolean":
        return "Yes" if answer else "No"
    if question["type"] == "choice":
        return dict(question.get("choices", [])).get(answer, str(answer))
    return str(answer)
