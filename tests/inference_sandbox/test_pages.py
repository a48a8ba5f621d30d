"""The sandbox in the browser: the form, the live stream, the list of runs, and who sees what."""

import re
from html import unescape

import pytest
from django.test import AsyncClient, Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from access_requests.models import Grant
from inference_sandbox import services, sse, stream
from inference_sandbox.models import Run
from inference_sandbox.sse import sse_frame
from inference_sandbox.stream import Kind, Writer
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.inference_sandbox.conftest import Prompt
from tests.inference_sandbox.reading import Event, hear, parse
from tests.people import signed_in

PLAYGROUND = "/sandbox/"
RUNS = "/sandbox/runs/"


@pytest.fixture
def browser(alice: Account) -> Client:
    return signed_in(alice)


def asynchronous(account: Account) -> AsyncClient:
    client = AsyncClient()
    client.force_login(account, backend="django.contrib.auth.backends.ModelBackend")
    return client


def fields(tiny: Release, **changes: object) -> dict[str, object]:
    values = {"release": tiny.slug, "mode": "plain", "prompt": "Once", "temperature": "0"}
    return {**values, "top_p": "1", "max_tokens": "8", "seed": "", **changes}


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, response.content
    return response.content.decode()


def listed(run: Run, *texts: str) -> None:
    """Write these tokens and the end, as a worker does."""
    writer = Writer.take(run.pk)
    assert writer
    writer.append(Kind.START)
    for number, text in enumerate(texts):
        writer.append(Kind.TOKEN, t=number, x=text)
    Run.objects.filter(pk=run.pk).update(
        status="finished", output="".join(texts), finish_reason="stop", output_tokens=len(texts)
    )
    writer.append(Kind.END, status="finished", finish_reason="stop", error="")
    writer.release()


# ---- The playground ------------------------------------------------------------------------------


def test_somebody_unknown_is_asked_to_sign_in(client: Client) -> None:
    response = client.get(PLAYGROUND)
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("account_login"))


def test_without_a_grant_the_page_leads_to_the_releases(mallory: Account, tiny: Release) -> None:
    text = page(signed_in(mallory), PLAYGROUND)
    assert "Nothing to prompt yet" in text
    assert reverse("catalog:releases") in text
    assert tiny.slug not in text


def test_the_page_offers_the_releases_one_holds_a_grant_for(
    browser: Client, grant: Grant, tiny: Release, release: Release
) -> None:
    text = page(browser, PLAYGROUND)
    assert f'value="{tiny.slug}"' in text
    assert release.slug not in text
    assert 'value="chat"' in text


def test_chat_is_not_offered_without_a_template(
    browser: Client, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference_sandbox.selectors.offers_chat", lambda release: False)
    assert 'value="chat"' not in page(browser, PLAYGROUND)


def test_the_page_says_when_no_worker_is_up(browser: Client, grant: Grant, tiny: Release) -> None:
    assert "The model is not running right now." in page(browser, PLAYGROUND)
    stream.announce(tiny.slug, stream.Worker("a", "", "cpu", "float32", 8))
    assert "loading its weights" in page(browser, PLAYGROUND)
    stream.announce(tiny.slug, stream.Worker("a", "f" * 40, "cpu", "float32", 8))
    text = page(browser, PLAYGROUND)
    assert "not running" not in text
    assert "on CPU in float32" in text


def test_an_earlier_run_fills_the_form(browser: Client, prompt: Prompt) -> None:
    run = prompt(prompt="Twice <upon>", seed=77, temperature=1.5)
    text = page(browser, f"{PLAYGROUND}?from={run.pk}")
    assert "Twice &lt;upon&gt;</textarea>" in text
    assert 'value="77"' in text
    assert 'value="1.5"' in text


def test_the_run_of_another_fills_no_form(prompt: Prompt, mallory: Account) -> None:
    run = prompt()
    assert signed_in(mallory).get(f"{PLAYGROUND}?from={run.pk}").status_code == 404
    assert signed_in(mallory).get(f"{PLAYGROUND}?from=nonsense").status_code == 404


def test_an_unknown_release_is_said_to_be_unknown(browser: Client) -> None:
    response = browser.get(f"{PLAYGROUND}?release=nothing-here")
    assert response.status_code == 404
    assert "There is no release “nothing-here” here." in response.content.decode()


# ---- Starting ------------------------------------------------------------------------------------


def test_a_prompt_leads_to_the_page_of_its_run(
    browser: Client, grant: Grant, tiny: Release
) -> None:
    response = browser.post(RUNS, fields(tiny))
    run = Run.objects.get()
    assert response.status_code == 302
    assert response["Location"] == f"{RUNS}{run.pk}/"
    text = page(browser, response["Location"])
    assert "Once" in text
    assert "The model is not running right now; this run waits in the queue" in text
    assert f'sse-connect="{RUNS}{run.pk}/stream/"' in text


def test_with_htmx_the_answer_is_the_live_panel(
    browser: Client, grant: Grant, tiny: Release
) -> None:
    response = browser.post(RUNS, fields(tiny), headers={"hx-request": "true"})
    text = response.content.decode()
    assert response.status_code == 200
    assert text.startswith("<article")
    assert 'sse-close="close"' in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": ""}, "The prompt is empty"),
        ({"prompt": "x" * 3000}, "Your prompt has 3,001 tokens"),
        ({"temperature": "-1"}, "The temperature must be from 0 to 2"),
        ({"temperature": "warm"}, "Enter a number."),
        ({"top_p": "1.5"}, "The top-p must be from 0 to 1"),
        ({"max_tokens": "99999"}, "Ask for 1 to 1024 tokens"),
        ({"max_tokens": ""}, "This field is required."),
        ({"seed": "-4"}, "The seed must be from 0"),
        ({"mode": "poem"}, "Select a valid choice."),
    ],
)
def test_bad_input_is_explained_and_what_was_typed_is_kept(
    browser: Client, grant: Grant, tiny: Release, changes: dict[str, str], sentence: str
) -> None:
    values = fields(tiny, **{"prompt": "Keep these words", **changes})
    response = browser.post(RUNS, values)
    text = unescape(response.content.decode())
    assert response.status_code == 400
    assert sentence in text
    assert "prompt" in changes or "Keep these words" in text
    assert not Run.objects.exists()
    fragment = browser.post(RUNS, values, headers={"hx-request": "true"})
    assert (fragment.status_code, fragment["HX-Retarget"]) == (200, "#run-form")
    assert sentence in unescape(fragment.content.decode())


def test_a_prompt_for_an_unknown_release_is_explained(
    browser: Client, grant: Grant, tiny: Release
) -> None:
    response = browser.post(RUNS, fields(tiny, release="nothing-here"))
    assert response.status_code == 400
    assert "There is no release “nothing-here” here." in response.content.decode()


def test_without_a_grant_a_prompt_starts_nothing(mallory: Account, tiny: Release) -> None:
    response = signed_in(mallory).post(RUNS, fields(tiny))
    assert response.status_code == 400
    assert "You have no grant for Tiny." in response.content.decode()
    assert not Run.objects.exists()


def test_a_form_without_its_csrf_token_starts_nothing(
    alice: Account, grant: Grant, tiny: Release
) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    assert strict.post(RUNS, fields(tiny)).status_code == 403
    assert not Run.objects.exists()


# ---- One run, many runs --------------------------------------------------------------------------


def test_a_run_that_is_over_shows_its_answer_its_facts_and_why_it_ended(
    browser: Client, prompt: Prompt
) -> None:
    run = prompt(seed=41)
    listed(run, "two\n", " <i>words")
    text = page(browser, f"{RUNS}{run.pk}/")
    assert "two\n &lt;i&gt;words</div>" in text
    assert "The answer came to its end, or to a stop string." in text
    assert "41" in text
    assert run.revision.digest in text
    assert f"{PLAYGROUND}?from={run.pk}" in text
    assert "sse-connect" not in text


def test_no_page_holds_inline_script_or_style(browser: Client, prompt: Prompt) -> None:
    run = prompt()
    for url in (PLAYGROUND, RUNS, f"{RUNS}{run.pk}/"):
        text = page(browser, url)
        assert not re.search(r"\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)


def test_the_list_shows_ones_own_runs_page_by_page(
    browser: Client, prompt: Prompt, mallory: Account
) -> None:
    run = prompt(prompt="A prompt of alice")
    rows = [
        Run(
            account=run.account, grant=run.grant, release=run.release, revision=run.revision,
            prompt=f"number {number}", seed=1, status="finished",
        )
        for number in range(30)
    ]  # fmt: skip
    Run.objects.bulk_create(rows)
    assert "Page 1 of 2" in page(browser, RUNS)
    assert "A prompt of alice" in page(browser, f"{RUNS}?page=2")
    assert "A prompt of alice" in page(browser, f"{RUNS}?page=99")
    assert "No run yet" in page(signed_in(mallory), RUNS)


def test_the_runs_of_another_are_not_there(prompt: Prompt, mallory: Account, rita: Account) -> None:
    run = prompt()
    for stranger in (mallory, rita):
        client = signed_in(stranger)
        assert client.get(f"{RUNS}{run.pk}/").status_code == 404
        assert client.post(f"{RUNS}{run.pk}/cancel/").status_code == 404
        assert hear(asynchronous(stranger), f"{RUNS}{run.pk}/stream/").status == 404
        assert str(run.pk) not in page(client, RUNS)
    run.refresh_from_db()
    assert run.status == "queued"


def test_stop_cancels_and_needs_a_post(browser: Client, prompt: Prompt) -> None:
    run = prompt()
    assert browser.get(f"{RUNS}{run.pk}/cancel/").status_code == 405
    response = browser.post(f"{RUNS}{run.pk}/cancel/")
    assert response["Location"] == f"{RUNS}{run.pk}/"
    assert "It was cancelled." in page(browser, response["Location"])
    again = browser.post(f"{RUNS}{run.pk}/cancel/", headers={"hx-request": "true"})
    assert again.status_code == 204


# ---- The stream ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", ["a\nb", "a\r\nb", "a\rb", " lead", "<script>", "x\n\ndata: forged", "", "é\u2028"]
)
def test_a_frame_brings_its_data_unchanged(data: str) -> None:
    expected = data.replace("\r\n", "\n").replace("\r", "\n")
    assert parse(sse_frame("token", data, "1-2").decode()) == [Event("token", expected, "1-2")]


def test_the_stream_brings_escaped_fragments_then_the_finished_panel_and_closes(
    alice: Account, prompt: Prompt
) -> None:
    run = prompt()
    listed(run, " one", "\n", "<script>alert(1)</script>")
    heard = hear(asynchronous(alice), f"{RUNS}{run.pk}/stream/")
    assert heard.headers["Content-Type"] == "text/event-stream"
    assert heard.headers["X-Accel-Buffering"] == "no"
    assert [event.data for event in heard.named("token")] == [
        "<span> one</span>",
        "<span>\n</span>",
        "<span>&lt;script&gt;alert(1)&lt;/script&gt;</span>",
    ]
    assert [event.name for event in heard.events][:2] == ["restart", "stats"]
    assert [event.name for event in heard.events][-2:] == ["end", "close"]
    (end,) = heard.named("end")
    assert "&lt;script&gt;alert(1)" in end.data
    assert "<script" not in heard.body.decode()
    assert all(event.id for event in heard.events)


def test_a_reader_that_lost_the_connection_gets_the_rest_and_nothing_twice(
    alice: Account, prompt: Prompt
) -> None:
    run = prompt()
    listed(run, *"abcdefghij")
    url = f"{RUNS}{run.pk}/stream/"
    first = hear(asynchronous(alice), url, most=5)
    rest = hear(asynchronous(alice), url, **{"Last-Event-ID": first.events[-1].id})
    both = [event.data for event in first.named("token") + rest.named("token")]
    assert both == [f"<span>{letter}</span>" for letter in "abcdefghij"]
    assert first.named("restart")
    assert not rest.named("restart")


def test_a_last_event_id_that_makes_no_sense_starts_from_the_beginning(
    alice: Account, prompt: Prompt
) -> None:
    run = prompt()
    listed(run, *"abc")
    heard = hear(asynchronous(alice), f"{RUNS}{run.pk}/stream/", **{"Last-Event-ID": "0 OR 1=1"})
    assert len(heard.named("token")) == 3


def test_a_stream_that_passed_away_is_told_from_the_row(alice: Account, prompt: Prompt) -> None:
    run = prompt()
    listed(run, "long ", "ago")
    stream._client().delete(f"wb:run:{run.pk}")
    heard = hear(asynchronous(alice), f"{RUNS}{run.pk}/stream/")
    assert [event.name for event in heard.events] == ["token", "end", "close"]
    assert "long ago" in heard.named("end")[0].data


def test_a_quiet_stream_is_pinged_and_ends_with_the_row(
    alice: Account, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker wrote the row and was killed before it could tell the readers."""
    monkeypatch.setattr(stream, "PING_SECONDS", 0.05)
    run = prompt()
    async_client = asynchronous(alice)
    read = stream.read

    async def read_and_finish(*args: object, **options: object) -> object:  # type: ignore[misc]
        count = 0
        async for entry in read(*args, **options):  # type: ignore[arg-type]
            count += 1
            if count == 3:
                await Run.objects.filter(pk=run.pk).aupdate(status="finished", output="whole")
            yield entry

    monkeypatch.setattr(sse.stream, "read", read_and_finish)
    heard = hear(async_client, f"{RUNS}{run.pk}/stream/")
    assert heard.body.startswith(sse.PING * 3)
    assert "whole" in heard.named("end")[0].data


def test_a_stream_needs_a_signed_in_person(prompt: Prompt) -> None:
    run = prompt()
    assert hear(AsyncClient(), f"{RUNS}{run.pk}/stream/").status == 401


def test_a_cancelled_run_closes_its_stream(alice: Account, prompt: Prompt) -> None:
    run = prompt()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.transaction.on_commit", lambda act, robust=False: act())
        services.cancel(run.pk, actor=alice)
    heard = hear(asynchronous(alice), f"{RUNS}{run.pk}/stream/")
    assert [event.name for event in heard.events] == ["end", "close"]
    assert "It was cancelled." in heard.named("end")[0].data


# ---- Queries -------------------------------------------------------------------------------------


def test_the_list_costs_the_same_for_many_runs_as_for_one(
    browser: Client, prompt: Prompt, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(4):
        prompt()
    with django_assert_max_num_queries(6):
        browser.get(RUNS)
    with django_assert_max_num_queries(14):
        browser.get(PLAYGROUND)
