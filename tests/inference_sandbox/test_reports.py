"""A harmful output is reported with its run, read by managers alone, and answered once."""

from typing import Any

import pytest
from django.urls import reverse

from inference_sandbox import keeping, reports
from inference_sandbox.models import Report, Run
from portal.accounts import own_data
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt, give
from tests.people import person, signed_in
from tests.portal.test_mails_reference import all_mails

QUEUE = reverse("admin:inference_sandbox_report_changelist")


@pytest.fixture
def run(prompt: Prompt) -> Run:
    run = prompt(prompt="Where does she live?")
    Run.objects.filter(pk=run.pk).update(status="finished", output="At Secret Street 1.")
    run.refresh_from_db()
    return run


@pytest.fixture
def bob(tiny: Release) -> Account:
    bob = person("bob")
    give(bob, tiny)
    return bob


def report(run: Run, actor: Account, **changes: Any) -> Report:
    values = {"kind": "privacy", "text": "An address.", **changes}
    return reports.report(run.pk, actor=actor, **values)


def refused(code: Code, call: Any, *args: Any, **values: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*args, **values)
    assert caught.value.code == code
    return caught.value


def test_a_report_reaches_each_manager_and_its_answer_the_reporter(
    run: Run, alice: Account, manager: Account
) -> None:
    address = f"{run.get_absolute_url()}report/"
    given = {"problem": "privacy", "text": "It tells where somebody lives."}
    assert signed_in(alice).post(address, given).status_code == 302
    made = Report.objects.get()
    event = Event.objects.get(verb=Verb.RUN_REPORTED)
    assert (event.subject_id, event.data) == (str(run.pk), {"report": made.pk, "kind": "privacy"})
    assert "You reported this answer" in signed_in(alice).get(run.get_absolute_url()).text
    desk = signed_in(manager)
    assert "waits" in desk.get(QUEUE).text
    text = desk.get(made.get_absolute_url()).text
    for shown in ("Where does she live?", "At Secret Street 1.", given["text"], alice.name):
        assert shown in text
    close = reverse("admin:inference_sandbox_report_close", args=[made.pk])
    assert desk.post(close, {"answer": ""}).status_code == 422
    assert desk.post(close, {"answer": "The data set was mended."}).status_code == 302
    assert "The data set was mended." in signed_in(alice).get(run.get_absolute_url()).text
    all_mails("run_reported", "report_closed")
    to_manager, to_reporter = OutgoingMail.objects.order_by("id")
    assert (to_manager.to, to_reporter.to) == (manager.email, alice.email)
    assert "Secret Street" not in to_manager.body
    assert "lives" not in to_manager.body
    assert "The data set was mended." in to_reporter.body
    refusal = refused(
        Code.WRONG_STATE, reports.close_report, made.pk, actor=manager, answer="Again"
    )
    assert "already" in refusal.detail
    assert OutgoingMail.objects.count() == 2
    assert Event.objects.filter(verb=Verb.REPORT_CLOSED).count() == 1


def test_one_report_of_a_person_about_a_run_waits_at_a_time(
    run: Run, alice: Account, bob: Account, manager: Account
) -> None:
    Run.objects.filter(pk=run.pk).update(shared=True)
    first = report(run, alice)
    refused(Code.WRONG_STATE, report, run, alice)
    report(run, bob)
    reports.close_report(first.pk, actor=manager, answer="Seen.")
    report(run, alice, text="It is still wrong.")
    assert Report.objects.count() == 3


def test_who_does_not_see_the_run_cannot_report_it(
    run: Run, bob: Account, mallory: Account
) -> None:
    for other in (bob, mallory):
        refused(Code.NOT_FOUND, report, run, other)
    assert not Report.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("kind", "ugliness", Code.INVALID), ("text", " ", Code.INVALID), ("text", "x" * 4001, Code.TOO_LONG)],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    run: Run, alice: Account, field: str, value: str, code: Code
) -> None:
    assert list(refused(code, report, run, alice, **{field: value}).fields) == [field]
    values = {"problem": "bias", "text": "x", "problem" if field == "kind" else field: value}
    response = signed_in(alice).post(f"{run.get_absolute_url()}report/", values)
    assert response.status_code == 400
    assert not Report.objects.exists()


def test_a_run_without_an_answer_is_not_reported(prompt: Prompt, alice: Account) -> None:
    refused(Code.WRONG_STATE, report, prompt(), alice)


def test_only_managers_read_and_answer(
    run: Run, alice: Account, rita: Account, mallory: Account
) -> None:
    made = report(run, alice)
    close = reverse("admin:inference_sandbox_report_close", args=[made.pk])
    for other in (alice, rita):
        refused(Code.NOT_ALLOWED, reports.close_report, made.pk, actor=other, answer="Mine")
    assert signed_in(rita).get(QUEUE).status_code == 403
    assert signed_in(rita).get(made.get_absolute_url()).status_code == 404
    assert signed_in(rita).post(close, {"answer": "x"}).status_code == 404
    assert signed_in(mallory).get(made.get_absolute_url()).status_code == 302


def test_a_manager_reads_the_texts_of_no_other_run(
    run: Run, prompt: Prompt, alice: Account, manager: Account
) -> None:
    report(run, alice)
    other = prompt(prompt="A private thought")
    for address in (QUEUE, f"/admin/inference_sandbox/run/{other.pk}/change/"):
        assert "private thought" not in signed_in(manager).get(address).text
    assert signed_in(manager).get(other.get_absolute_url()).status_code == 404
    assert signed_in(manager).get(run.get_absolute_url()).status_code == 404


def test_the_texts_of_a_deleted_run_go_with_the_answer_to_the_last_report(
    run: Run, alice: Account, bob: Account, manager: Account
) -> None:
    Run.objects.filter(pk=run.pk).update(shared=True)
    first, second = report(run, alice), report(run, bob)
    keeping.delete(run.pk, actor=alice)
    reports.close_report(first.pk, actor=manager, answer="Seen.")
    assert Run.objects.get().output
    reports.close_report(second.pk, actor=manager, answer="Seen.")
    assert Run.objects.get().output == ""
    text = signed_in(manager).get(second.get_absolute_url()).text
    assert "not kept any more" in text


def test_ones_own_data_has_ones_reports(run: Run, alice: Account) -> None:
    report(run, alice)
    assert own_data.own_data(alice)["reports_of_runs"][0]["text"] == "An address."
