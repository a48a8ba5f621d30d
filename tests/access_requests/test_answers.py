"""Every type of question: what fits, what does not, and nothing that is typed breaks a page."""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access_requests import patterns, question_rules, services
from access_requests.answers import AnswersForm, clean_answers
from access_requests.models import Application, Form
from access_requests.words import answered
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from portal.refusals import Refusal
from tests.access_requests.samples import EVERY_QUESTION, GOOD, posted
from tests.access_requests.test_submit import refusal_of
from tests.people import signed_in

FORM = Form(questions=EVERY_QUESTION)


def test_good_answers_of_every_type_are_kept_as_they_are() -> None:
    assert clean_answers(FORM, GOOD, strict=False) == GOOD
    strict = clean_answers(FORM, GOOD, strict=True)
    assert {key: value for key, value in strict.items() if value is not None} == GOOD


def test_a_browser_and_a_program_mean_the_same() -> None:
    form = AnswersForm(FORM, _Query(posted(GOOD)), strict=False, prefix="answers")
    assert form.is_valid(), form.errors
    cleaned = {key: value for key, value in form.cleaned_data.items() if value not in (None, "")}
    assert cleaned == GOOD


class _Query(dict):
    """Like a query: a list for those who ask for one."""

    def getlist(self, key: str) -> list[Any]:
        value = self.get(key, [])
        return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("title", 3),
        ("title", "x" * 201),
        ("plan", "x" * 301),
        ("kind", "c"),
        ("topics", ["bias", "other"]),
        ("topics", "bias"),
        ("topics", [3]),
        ("agree", "yes"),
        ("begins", "2026-02-30"),
        ("begins", "soon"),
        ("begins", 20260530),
        ("gpus", "many"),
        ("gpus", True),
        ("place", "ZZ"),
        ("team", "Ada"),
        ("team", [["Ada"]]),
        ("team", [{"name": 3}]),
        ("team", [{"name": "x" * 201}]),
        ("team", [{"name": "x"}] * 51),
        ("letter", "letter.pdf"),
        ("title", "\0"),
        ("team", [{"name": "\0"}]),
        ("topics", ["\ud800"]),
    ],
)
def test_an_answer_that_does_not_fit_is_named(key: str, wrong: object) -> None:
    refusal = refusal_of(clean_answers, FORM, {**GOOD, key: wrong}, strict=False)
    assert list(refusal.fields) == [key]


@pytest.mark.parametrize(
    ("key", "half"),
    [("page", "a.example"), ("contact", "alice@"), ("orcid", "0000-0002"), ("title", "")],
)
def test_a_draft_may_hold_half_an_answer_and_a_submission_may_not(key: str, half: str) -> None:
    assert clean_answers(FORM, {**GOOD, key: half}, strict=False)[key] in (half, None)
    assert list(refusal_of(clean_answers, FORM, {**GOOD, key: half}, strict=True).fields) == [key]


def test_a_question_is_asked_only_on_its_condition() -> None:
    assert "why" not in clean_answers(FORM, {**GOOD, "why": "x" * 999}, strict=True)
    asked = {**GOOD, "kind": "b"}
    assert list(refusal_of(clean_answers, FORM, asked, strict=True).fields) == ["why"]
    assert clean_answers(FORM, {**asked, "why": "Both."}, strict=True)["why"] == "Both."


def test_what_hangs_on_a_question_not_asked_is_not_asked_either() -> None:
    questions = [
        {"key": "a", "label": "A", "type": "boolean"},
        {
            "key": "b",
            "label": "B",
            "type": "multiple_choice",
            "choices": [["x", "X"]],
            "show_if": {"key": "a", "equals": True},
        },
        {
            "key": "c",
            "label": "C",
            "type": "text",
            "required": True,
            "show_if": {"key": "b", "equals": "x"},
        },
    ]
    form = Form(questions=questions)
    assert question_rules.problems(questions) == []
    assert clean_answers(form, {"b": ["x"]}, strict=True) == {"a": False}
    assert "c" in refusal_of(clean_answers, form, {"a": True, "b": ["x"]}, strict=True).fields


def test_the_reviewer_reads_labels_and_not_codes(
    alice: Account, family: Family, release: Release
) -> None:
    services.make_form(family, EVERY_QUESTION)
    made = services.start(actor=alice, releases=[release], answers=GOOD)
    read = {item.label: item.answer for item in answered(made)}
    assert read["Topics"] == "Safety"
    assert read["Place"] == "Netherlands"
    assert read["Team"] == "Name: Ada; Role: PI"
    assert "Why two?" not in read  # it was not asked
    assert "About the work" not in read


# ---- Nothing that is typed breaks anything ---------------------------------------------------------

TYPED = st.text(max_size=40) | st.sampled_from(
    ["\0", "9" * 400, "1e999", "nan", "<script>", "2026-13-01", "a@b", "0001-01-01", "=1", "\r\n"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TYPED,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TYPED, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([question["key"] for question in EVERY_QUESTION])


@given(st.dictionaries(KEYS, JSON, max_size=6), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_program_may_send_anything_and_gets_answers_or_a_refusal(
    answers: dict[str, Any], strict: bool
) -> None:
    try:
        cleaned = clean_answers(FORM, answers, strict=strict)
    except Refusal as refusal:
        named = set(refusal.fields)
    else:
        named = set()
        kept = {key: value for key, value in cleaned.items() if value not in (None, "", [])}
        assert clean_answers(FORM, kept, strict=False) == kept  # what is kept can be sent again
    assert named <= {question["key"] for question in EVERY_QUESTION}


@given(st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_person_may_type_anything_and_finds_it_again(
    alice: Account, family: Family, release: Release, data: st.DataObject
) -> None:
    draft = Application.objects.filter(applicant=alice).first()
    if draft is None:
        services.make_form(family, EVERY_QUESTION)
        draft = services.start(actor=alice, releases=[release])
    typed = data.draw(
        st.dictionaries(
            st.sampled_from(["title", "plan", "gpus", "begins", "page", "kind", "place"]), TYPED
        )
    )
    cells = data.draw(st.lists(TYPED, max_size=3))
    sent = {f"answers-{key}": text for key, text in typed.items()}
    sent |= {f"answers-team-{at}-name": text for at, text in enumerate(cells)}
    client = signed_in(alice)
    response = client.post(f"/applications/{draft.pk}/edit/", {"releases": [release.slug], **sent})
    assert response.status_code in (302, 422)
    if response.status_code == 422:
        form = response.context["form"]
        for key, text in typed.items():
            assert form[key].value() == text
    else:
        draft.refresh_from_db()
        assert client.get(f"/applications/{draft.pk}/edit/").status_code == 200
        kept = [row["name"] for row in draft.answers.get("team", [])]
        assert kept == [cell.strip() for cell in cells if cell.strip()]


# ---- What makes a form ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "table"}, "`columns`"),
        ({"type": "table", "columns": [["a b", "A"]]}, "`columns`"),
        ({"type": "multiple_choice", "choices": [["a", "A"], ["a", "B"]]}, "each value once"),
        ({"pattern": "(a+)+"}, "not a group"),
        ({"pattern": "["}, "not closed"),
        ({"pattern": "a)"}, "regular expression"),
        ({"pattern": "a", "type": "long_text"}, "short texts alone"),
        ({"pattern": "a", "max_length": 500}, "at most 200"),
        ({"type": "number", "max_length": 3}, "`max_length`"),
        ({"show_if": {"key": "later", "equals": "x"}}, "earlier"),
        ({"show_if": {"key": "kind", "equals": "z"}}, "one of: a, b"),
        ({"show_if": "kind"}, "`show_if`"),
        ({"required": "yes"}, "`required`"),
        ({"label": "x" * 501}, "500"),
    ],
)
def test_a_question_that_cannot_work_is_refused(changes: dict[str, Any], words: str) -> None:
    kind = {"key": "kind", "label": "Kind", "type": "choice", "choices": [["a", "A"], ["b", "B"]]}
    question = {"key": "q", "label": "Q", "type": "text", **changes}
    assert words in " ".join(question_rules.problems([kind, question]))
    assert question_rules.problems([kind, {"key": "q", "label": "Q", "type": "text"}]) == []


def test_a_form_of_words_alone_asks_nothing() -> None:
    assert question_rules.problems(EVERY_QUESTION[:2])
    assert question_rules.problems(EVERY_QUESTION) == []


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_any_value_at_all_is_judged_as_questions(value: Any) -> None:
    assert question_rules.problems(value)


@given(st.dictionaries(st.sampled_from([*sorted(EVERY_QUESTION[3]), "show_if", "choices"]), JSON))
@settings(max_examples=200, deadline=None)
def test_any_object_at_all_is_judged_as_a_question(changes: dict[str, Any]) -> None:
    found = question_rules.problems([{**EVERY_QUESTION[3], **changes}])
    assert all(isinstance(one, str) and one for one in found), "words, or nothing"


@given(st.text(alphabet="ab.*+?{}0123456789,[]()|^\\dws", max_size=25))
@settings(max_examples=300, deadline=None)
def test_a_pattern_that_is_taken_is_quick(pattern: str) -> None:
    if patterns.problem(pattern):
        return
    begun = time.process_time()
    patterns.matches(pattern, "a" * 199 + "!")
    assert time.process_time() - begun < 1


def test_a_pattern_that_could_run_wild_is_refused() -> None:
    for wild in ("(a+)+", "(a|a)*", "a*a*a*a*b", r"(.)\1", "(?=a)b", "a*+", "x" * 101):
        assert patterns.problem(wild), wild
    assert patterns.problem(r"10\.\d{4,9}/\S+") == ""
    assert patterns.matches(r"10\.\d{4,9}/\S+", "10.1000/182")
    assert not patterns.matches(r"10\.\d{4,9}/\S+", "see 10.1000/182")


def test_a_choice_that_is_sent_many_times_is_kept_once() -> None:
    question = {"key": "data", "label": "Data", "type": "multiple_choice"}
    form = Form(questions=[{**question, "choices": [["text", "Text"], ["code", "Code"]]}])
    answers = clean_answers(form, {"data": ["text", "code"] * 50_000}, strict=True)
    assert answers == {"data": ["text", "code"]}
