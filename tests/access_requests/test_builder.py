"""A manager builds a form in the admin, without JSON and without JavaScript."""

from typing import Any

import pytest
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access_requests import question_rules, services
from access_requests.admin import question_rows
from access_requests.models import Application, Form
from access_requests.questions import DEFAULT_QUESTIONS
from portal.accounts.models import Account
from portal.catalog.models import Family
from tests.access_requests.samples import EVERY_QUESTION
from tests.people import signed_in

ADD = reverse("admin:access_requests_form_add")
PREVIEW = reverse("admin:access_requests_form_preview")


def change(form: Form) -> str:
    return reverse("admin:access_requests_form_change", args=[form.pk])


def page_of(questions: list[Any], **more: str) -> dict[str, str]:
    """What the page sends for these questions."""
    return sent([question_rows.row_of(question) for question in questions], **more)


def sent(rows: list[dict[str, str]], **more: str) -> dict[str, str]:
    fields = {f"q{at}-{name}": text for at, row in enumerate(rows) for name, text in row.items()}
    return {"rows": str(len(rows)), "family": "llama", **fields, **more}


@pytest.mark.parametrize("questions", [EVERY_QUESTION, DEFAULT_QUESTIONS])
def test_questions_stand_in_rows_and_come_back_the_same(questions: list[Any]) -> None:
    rows = [question_rows.row_of(question) for question in questions]
    assert question_rows.questions_of(rows) == questions


def test_a_form_is_built_button_by_button(family: Family, manager: Account) -> None:
    client = signed_in(manager)
    assert "What do you want to find out?" in client.get(ADD).text
    page = client.post(ADD, {"rows": "0", "family": "llama", "do": "add"})
    assert 'name="q0-label"' in page.text
    first = {**question_rows.EMPTY, "label": "Which corpus?", "required": "yes"}
    second = {
        **question_rows.EMPTY,
        "label": "Where?",
        "type": "choice",
        "choices": "Here\nfar = Far away",
    }
    page = client.post(ADD, sent([first, second], do="up:1"))
    assert page.context["builder"].rows == [second, first]
    assert "Not saved yet" in page.text
    assert not Form.objects.exists()
    page = client.post(ADD, sent([first, second, dict(question_rows.EMPTY)], do="remove:2"))
    assert page.context["builder"].rows == [first, second]
    client.post(ADD, sent([second, first], do="save"))
    assert Form.objects.get().questions == [
        {
            "key": "where",
            "label": "Where?",
            "type": "choice",
            "choices": [["here", "Here"], ["far", "Far away"]],
        },
        {"key": "which_corpus", "label": "Which corpus?", "type": "text", "required": True},
    ]


def test_what_is_wrong_is_told_beside_its_row_and_all_that_was_typed_is_there(
    family: Family, manager: Account
) -> None:
    good = {**question_rows.EMPTY, "label": "Fine"}
    bad = {**question_rows.EMPTY, "label": "Odd", "max_length": "a few", "pattern": "(a+)+"}
    page = signed_in(manager).post(ADD, sent([good, bad], do="save"))
    assert page.status_code == 422
    assert [len(line.errors) for line in page.context["lines"]] == [0, 2]
    assert 'value="a few"' in page.text
    assert 'value="(a+)+"' in page.text
    page = signed_in(manager).post(ADD, sent([good], do="save", family="nothing"))
    assert "Choose the family" in page.text
    assert not Form.objects.exists()


def test_a_preview_shows_what_is_typed_and_saves_nothing(
    family: Family, manager: Account, rita: Account, mallory: Account
) -> None:
    page = signed_in(manager).post(PREVIEW, page_of(EVERY_QUESTION))
    assert "Why two?" in page.text
    assert "Only if “Kind” is answered “Two”." in page.text
    assert "<b>first</b>" not in page.text
    wrong = signed_in(manager).post(PREVIEW, sent([dict(question_rows.EMPTY)]))
    assert wrong.status_code == 422
    assert "`label` is missing" in wrong.text
    assert not Form.objects.exists()
    assert signed_in(rita).post(PREVIEW, page_of(EVERY_QUESTION)).status_code == 404
    assert signed_in(mallory).post(PREVIEW, page_of(EVERY_QUESTION)).status_code == 302


def test_a_form_in_use_is_frozen_and_a_new_version_starts_from_it(
    draft: Application, manager: Account, family: Family
) -> None:
    client = signed_in(manager)
    page = client.get(change(draft.form)).text
    assert "Frozen" in page
    assert f"{ADD}?from={draft.form_id}" in page
    assert client.post(change(draft.form), page_of(EVERY_QUESTION, do="save")).status_code == 403
    copied = client.get(f"{ADD}?from={draft.form_id}")
    assert copied.context["builder"].family == family
    assert len(copied.context["lines"]) == len(DEFAULT_QUESTIONS)
    client.post(ADD, page_of(EVERY_QUESTION, do="save"))
    assert set(Form.objects.values_list("version", flat=True)) == {1, 2}
    draft.form.refresh_from_db()
    assert draft.form.questions == DEFAULT_QUESTIONS


def test_only_managers_build(
    family: Family, rita: Account, mallory: Account, manager: Account
) -> None:
    free = services.make_form(family, EVERY_QUESTION)
    for other, codes in ((rita, (403, 200)), (mallory, (302, 302))):
        client = signed_in(other)
        assert client.get(ADD).status_code == codes[0]
        assert client.get(change(free)).status_code == codes[1]
        client.post(change(free), page_of(DEFAULT_QUESTIONS, do="save"))
        client.post(ADD, page_of(DEFAULT_QUESTIONS, do="save"))
        free.refresh_from_db()
        assert free.questions == EVERY_QUESTION
        assert Form.objects.count() == 1
    signed_in(manager).post(change(free), page_of(DEFAULT_QUESTIONS, do="save"))
    free.refresh_from_db()
    assert free.questions == DEFAULT_QUESTIONS


def test_the_way_to_the_builder_needs_no_address(manager: Account, draft: Application) -> None:
    client = signed_in(manager)
    listing = reverse("admin:access_requests_form_changelist")
    assert listing in client.get("/admin/", follow=True).text
    page = client.get(listing).text
    assert ADD in page
    assert change(draft.form) in page
    saved = reverse("admin:access_requests_form_preview_saved", args=[draft.form_id])
    assert saved in client.get(change(draft.form)).text
    assert "What do you want to find out?" in client.get(saved).text


TYPED = st.text(max_size=20) | st.sampled_from(
    ["boolean", "table", "choice", "a = b", "=", "\n", "q0", "yes", "9" * 30, "²", "(a+)+", "\0"]
)
ROW = st.fixed_dictionaries(dict.fromkeys(question_rows.FIELDS, TYPED))


@given(st.lists(ROW, max_size=4), TYPED | st.sampled_from(["save", "up:1", "down:0", "remove:0"]))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_manager_may_type_anything_and_finds_it_again(
    manager: Account, family: Family, rows: list[dict[str, str]], do: str
) -> None:
    response = signed_in(manager).post(ADD, sent(rows, do=do))
    assert response.status_code in (200, 302, 422)
    if response.status_code == 422:
        kept = [line.row for line in response.context["lines"]]
        typed = [
            {name: text.replace("\r\n", "\n").strip() for name, text in row.items()} for row in rows
        ]
        assert kept == typed
    for form in Form.objects.all():
        assert question_rules.problems(form.questions) == []
