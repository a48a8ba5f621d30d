"""Answers that are much like those of somebody else."""

from collections import Counter
from dataclasses import dataclass

from access_requests import likeness
from access_requests.evidence.base import Check, check
from access_requests.models import AnswerBand, Application
from access_requests.questions import Question, asked
from access_requests.selectors.applications import answers_on_the_table
from access_requests.workflow import EDITABLE_STATES

ALIKE = 0.6  # the share of common shingles from which a reviewer should look
CANDIDATES = 500  # rows of the index that are read at most
COMPARED = 20  # candidates whose texts are compared letter by letter
SHOWN = 3
LONG = frozenset({"text", "long_text"})


@dataclass(frozen=True)
class Pair:
    """Two answers that are alike."""

    label: str
    text: str
    other: Application
    other_label: str
    other_text: str
    share: float

    @property
    def percent(self) -> int:
        return round(self.share * 100)


def fingerprint(application: Application) -> list[AnswerBand]:
    """The rows of the index for its long answers, as it stands; not saved."""
    return [
        AnswerBand(
            application=application,
            applicant_id=application.applicant_id,
            question=question["key"],
            value=value,
        )
        for question, text in _texts(application)
        for value in likeness.bands(likeness.shingles(text))
    ]


def _texts(application: Application) -> list[tuple[Question, str]]:
    answers = application.answers
    if application.state in EDITABLE_STATES:  # never what the applicant is still typing
        answers = dict(answers_on_the_table(application).answers)
    return [
        (question, answers[question["key"]])
        for question in asked(application.form.questions)
        if question["type"] in LONG and isinstance(answers.get(question["key"]), str)
    ]


def alike(application: Application) -> list[Pair]:
    """The most alike answers of others, at most one of each application, the likest first.

    The work is bounded however many applications there are: some rows of an index are read, and a
    few texts compared.
    """
    ours = [(q, text, likeness.shingles(text)) for q, text in _texts(application)]
    values = [value for _, _, pieces in ours for value in likeness.bands(pieces)]
    if not values:
        return []
    rows = (
        AnswerBand.objects.filter(value__in=values)
        .exclude(applicant=application.applicant_id)
        .values_list("application_id", flat=True)[:CANDIDATES]
    )
    likest = [pk for pk, _ in Counter(rows).most_common(COMPARED)]
    others = Application.objects.filter(pk__in=likest).select_related("form")
    pairs = [_likest(ours, other) for other in others]
    found = [pair for pair in pairs if pair is not None and pair.share >= ALIKE]
    return sorted(found, key=lambda pair: -pair.share)[:SHOWN]


def _likest(ours: list[tuple[Question, str, frozenset[int]]], other: Application) -> Pair | None:
    theirs = [(q, text, likeness.shingles(text)) for q, text in _texts(other)]
    pairs = [
        Pair(q["label"], text, other, oq["label"], otext, likeness.alike(pieces, opieces))
        for q, text, pieces in ours
        for oq, otext, opieces in theirs
    ]
    return max(pairs, key=lambda pair: pair.share, default=None)


def near_duplicates(application: Application) -> Check:
    pairs = alike(application)
    return check(
        "alike",
        "Answers of others",
        "an index of the long answers of all applications on this site",
        "attention" if pairs else "neutral",
        " ".join(
            f"“{pair.label}” is {pair.percent} % like an answer of {pair.other.reference}."
            for pair in pairs
        )
        or f"No long answer is {ALIKE:.0%} or more like one of somebody else.".replace("%", " %"),
        "People of one lab may write together, and both may quote a third. It compares letters, "
        f"not thoughts: a translation is not found, nor what is shorter than {likeness.AT_LEAST} "
        "letters.",
        applications=[pair.other.pk for pair in pairs],
    )
