"""Runs that are there: found again, noted, shared, deleted, exported. And nobody sees more."""

import csv
import io
import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import AsyncClient, Client

from access_requests.models import Grant
from access_requests.services import revoke
from inference_sandbox import keeping, selectors, snippets
from inference_sandbox.models import Report, Run, RunTokens
from portal.accounts.models import Account, Scope
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.access_requests.test_past_pages import body
from tests.inference_sandbox.conftest import Prompt, give
from tests.inference_sandbox.reading import hear
from tests.people import person, signed_in, with_token

RUNS = "/sandbox/runs/"


@pytest.fixture
def browser(alice: Account) -> Client:
    return signed_in(alice)


@pytest.fixture
def bob(tiny: Release) -> Account:
    """Another person who may prompt the same release."""
    bob = person("bob")
    give(bob, tiny)
    return bob


@pytest.fixture
def finished(prompt: Prompt) -> Any:
    def make(**changes: Any) -> Run:
        values = {"output": " there was", "note": "", **changes}
        stored = {name: values.pop(name) for name in ("output", "note", "shared") if name in values}
        run = prompt(**values)
        Run.objects.filter(pk=run.pk).update(
            status="finished", finish_reason="stop", output_ids=[5, 6], output_tokens=2, **stored
        )
        run.refresh_from_db()
        return run

    return make


def refused(code: Code, call: Any, *args: Any, **values: Any) -> None:
    with pytest.raises(Refusal) as caught:
        call(*args, **values)
    assert caught.value.code == code


def address(run: Run, what: str = "") -> str:
    return f"{RUNS}{run.pk}/{what}"


# ---- History -------------------------------------------------------------------------------------


def test_words_are_found_in_prompt_answer_and_note(browser: Client, finished: Any) -> None:
    finished(prompt="The whale and the sea", output="x")
    finished(prompt="Tulips", output="grow by the sea")
    finished(prompt="Windmills", output="y", note="Compare with the whale")
    for words, found, other in (
        ("whale", ("The whale", "Windmills"), "Tulips"),
        ("SEA whale", ("The whale",), "Windmills"),
        ("grow", ("Tulips",), "The whale"),
    ):
        text = browser.get(RUNS, {"q": words}).text
        assert all(prompt in text for prompt in found), words
        assert other not in text, words
    assert "No run fits" in browser.get(RUNS, {"q": "walrus"}).text
    assert browser.get(RUNS, {"q": "a\0b", "status": "odd", "release": "\0"}).status_code == 200


def test_filters_by_status_and_release(browser: Client, finished: Any, prompt: Prompt) -> None:
    finished(prompt="Done with it")
    prompt(prompt="Waits for it")
    text = browser.get(RUNS, {"status": "queued"}).text
    assert "Waits for it" in text
    assert "Done with it" not in text
    assert "No run fits" in browser.get(RUNS, {"release": "another"}).text


def test_the_words_of_another_find_nothing(finished: Any, mallory: Account) -> None:
    finished(prompt="The whale")
    assert "whale</" not in signed_in(mallory).get(RUNS, {"q": "whale"}).text


# ---- Notes ---------------------------------------------------------------------------------------


def test_a_note_is_ones_own(browser: Client, finished: Any, bob: Account) -> None:
    run = finished(shared=True)
    assert browser.post(address(run, "note/"), {"note": " Odd answer. "}).status_code == 302
    run.refresh_from_db()
    assert run.note == "Odd answer."
    assert "Odd answer." in browser.get(address(run)).text
    assert "Odd answer." not in signed_in(bob).get(address(run)).text
    assert signed_in(bob).post(address(run, "note/"), {"note": "mine"}).status_code == 404
    assert "note" not in signed_in(bob).get(address(run, "run.json")).json()
    assert "Odd" not in str(Event.objects.get(verb=Verb.RUN_NOTED).data)
    assert browser.post(address(run, "note/"), {"note": "x" * 10_001}).status_code == 400


# ---- Sharing -------------------------------------------------------------------------------------


def test_a_shared_run_opens_to_who_may_prompt_the_release_and_to_nobody_else(
    browser: Client, finished: Any, bob: Account, mallory: Account, manager: Account
) -> None:
    run = finished()
    for other in (bob, mallory):
        assert signed_in(other).get(address(run)).status_code == 404
    browser.post(address(run, "share/"), {"shared": "yes"})
    text = signed_in(bob).get(address(run)).text
    assert "there was" in text
    assert run.account.name in text
    assert run.account.email not in text
    for what in ("", "run.json"):
        assert signed_in(mallory).get(address(run, what)).status_code == 404
    grant = Grant.objects.get(account=bob)
    revoke(grant.pk, actor=manager, reason="The project ended.")
    assert signed_in(bob).get(address(run)).status_code == 404
    browser.post(address(run, "share/"))
    run.refresh_from_db()
    assert run.shared is False
    verbs = [Verb.RUN_SHARED, Verb.RUN_UNSHARED]
    assert (
        list(Event.objects.filter(verb__in=verbs).order_by("id").values_list("verb", flat=True))
        == verbs
    )


def test_who_sees_a_shared_run_changes_nothing_of_it(finished: Any, bob: Account) -> None:
    run = finished(shared=True)
    other = signed_in(bob)
    text = other.get(address(run)).text
    for what in ("note/", "share/", "delete/", "cancel/"):
        assert address(run, what) not in text
        assert other.post(address(run, what)).status_code == 404
    assert "Report this answer" in text
    assert "Run again" in text
    assert run.prompt not in other.get(RUNS).text, "it is not among their own"


@pytest.mark.django_db(transaction=True)
def test_the_stream_of_a_shared_run_is_read_by_others(
    finished: Any, bob: Account, mallory: Account
) -> None:
    run = finished(shared=True)

    def heard(account: Account) -> int:
        client = AsyncClient()
        client.force_login(account, backend="django.contrib.auth.backends.ModelBackend")
        return hear(client, address(run, "stream/")).status

    assert (heard(bob), heard(mallory)) == (200, 404)


# ---- Deletion ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_deleted_run_leaves_no_text_behind(
    browser: Client, finished: Any, alice: Account, manager: Account
) -> None:
    run = finished(prompt="A private thought", note="And a note", shared=True)
    RunTokens.objects.create(run=run, output=[[5, " there", -1.0, 1.0, []]])
    assert "removed at once" in browser.get(address(run)).text
    assert browser.post(address(run, "delete/")).status_code == 302
    run.refresh_from_db()
    assert (run.prompt, run.output, run.note, run.output_ids, run.seed) == ("", "", "", [], 0)
    assert not RunTokens.objects.exists()
    assert (run.output_tokens, run.account) == (2, alice), "who used how much stays"
    assert browser.get(address(run)).status_code == 404
    assert str(run.pk) not in browser.get(RUNS).text
    assert browser.post(address(run, "delete/")).status_code == 404, "the second time"
    assert Event.objects.filter(verb=Verb.RUN_DELETED).count() == 1
    desk = signed_in(manager).get(f"/admin/inference_sandbox/run/{run.pk}/change/")
    assert desk.status_code == 200


def test_only_its_person_deletes_it_and_only_once_it_is_over(
    prompt: Prompt, finished: Any, bob: Account, mallory: Account, alice: Account
) -> None:
    shared, waiting = finished(shared=True), prompt()
    for other in (bob, mallory):
        refused(Code.NOT_FOUND, keeping.delete, shared.pk, actor=other)
    refused(Code.WRONG_STATE, keeping.delete, waiting.pk, actor=alice)
    assert not Run.objects.exclude(deleted_at=None).exists()


def test_a_reported_run_is_gone_for_its_person_and_kept_for_the_managers(
    finished: Any, alice: Account, bob: Account
) -> None:
    run = finished(prompt="Something harmful", shared=True)
    Report.objects.create(run=run, reporter=bob, kind="bias", text="Look.")
    keeping.delete(run.pk, actor=alice)
    run.refresh_from_db()
    assert run.prompt == "Something harmful"
    for person_ in (alice, bob):
        refused(Code.NOT_FOUND, selectors.run_visible_to, person_, run.pk)


# ---- Exports and snippets ------------------------------------------------------------------------


def test_one_run_as_json_has_all_that_repeats_it(browser: Client, finished: Any) -> None:
    run = finished(seed=7, top_k=40, logprobs=2, stop=["\n"], note="My note")
    RunTokens.objects.create(run=run, output=[[5, " there", -1.0, 1.0, []]])
    response = browser.get(address(run, "run.json"))
    assert response["Content-Disposition"] == f'attachment; filename="run-{run.pk}.json"'
    told = response.json()
    assert (told["seed"], told["top_k"], told["stop"], told["output_ids"]) == (
        7,
        40,
        ["\n"],
        [5, 6],
    )
    assert told["revision"] == run.revision.digest
    assert told["tokens"]["output"] == [[5, " there", -1.0, 1.0, []]]
    assert told["note"] == "My note"


def test_all_runs_as_a_file(browser: Client, finished: Any, mallory: Account) -> None:
    for number in range(3):
        finished(prompt=f"=Number {number}")
    lines = body(browser.get(f"{RUNS}export/jsonl/")).splitlines()
    assert [json.loads(line)["prompt"] for line in lines] == ["=Number 0", "=Number 1", "=Number 2"]
    text = body(browser.get(f"{RUNS}export/csv/")).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["prompt"] == "'=Number 0", "no spreadsheet runs it"
    none = signed_in(mallory).get(f"{RUNS}export/jsonl/")
    assert body(none) == b""
    assert browser.get(f"{RUNS}export/xml/").status_code == 404


def test_the_lines_to_copy_start_the_same_run(
    finished: Any, alice: Account, browser: Client
) -> None:
    run = finished(prompt="It's <b>", seed=7, top_k=40, stop=["\n"], logit_bias={"65": -3.0})
    line = snippets.curl(run)
    body = line.partition("-d '")[2].removesuffix("'").replace("'\\''", "'")
    again = with_token(alice, Scope.SANDBOX).post(
        "/api/v1/runs/", json.loads(body), content_type="application/json"
    )
    second = Run.objects.get(pk=again.json()["id"])
    for name in ("prompt", "seed", "top_k", "stop", "logit_bias", "temperature", "max_tokens"):
        assert getattr(second, name) == getattr(run, name), name
    compile(snippets.openai(run), "snippet", "exec")
    assert "extra_body={'top_k': 40}" in snippets.openai(run)
    assert "It&#x27;s &lt;b&gt;" in browser.get(address(run)).text


def test_the_lines_for_a_conversation_are_a_chat(finished: Any) -> None:
    said = [{"role": "user", "content": "Hi"}]
    run = finished(mode="chat", prompt="", messages=said)
    assert f"messages={said!r}" in snippets.openai(run)
    assert "client.chat.completions.create(" in snippets.openai(run)


def test_a_long_prompt_is_folded(browser: Client, finished: Any) -> None:
    assert "Prompt of 900 characters" not in browser.get(address(finished(prompt="x" * 900))).text
    many = browser.get(address(finished(prompt="a line\n" * 20))).text
    assert "Prompt of 140 characters" in many


def test_a_run_that_is_not_there_is_not_found(browser: Client, grant: Grant) -> None:
    for what in ("", "run.json"):
        assert browser.get(f"{RUNS}{uuid4()}/{what}").status_code == 404
