"""Side by side and sweeps: what starts, what is refused, and what their pages show."""

import csv
import io
import json
from itertools import product
from typing import Any

import pytest
from django.test import AsyncClient, Client
from pytest_django import DjangoAssertNumQueries

from access_requests.models import Grant
from inference_sandbox import jobs, results
from inference_sandbox.models import Job, Run
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt
from tests.inference_sandbox.reading import hear
from tests.inference_sandbox.told import over
from tests.people import signed_in

COMPARE, SWEEP = "/sandbox/compare/", "/sandbox/sweep/"


@pytest.fixture
def browser(alice: Account, grant: Grant) -> Client:
    return signed_in(alice)


def compared(tiny: Release, *columns: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What the form of a comparison sends; what a column leaves out is as usual."""
    usual = {"release": tiny.slug, "temperature": "0", "top_p": "1", "top_k": "0"}
    usual |= {"repetition_penalty": "1", "seed": "1"}
    values: dict[str, Any] = {"prompt": "Once", "mode": "plain", "max_tokens": "8"}
    values |= {"columns-TOTAL_FORMS": "4", "columns-INITIAL_FORMS": "4"}
    for number in range(4):
        column = {**usual, **columns[number]} if number < len(columns) else {**usual, "release": ""}
        values |= {f"columns-{number}-{name}": value for name, value in column.items()}
    return {**values, **changes}


def swept(tiny: Release, **changes: Any) -> dict[str, Any]:
    values = {"release": tiny.slug, "prompt": "Once", "mode": "plain", "max_tokens": "8"}
    return {**values, "top_p": "1", "temperatures": "0, 0.5", "seeds": "1-3", **changes}


def sweep(alice: Account, tiny: Release, **changes: Any) -> Job:
    values: dict[str, Any] = {"temperatures": [0.0, 0.5], "seeds": [1, 2], "prompt": "Once"}
    return jobs.sweep(actor=alice, release=tiny, **{**values, "max_tokens": 8, **changes})


# ---- Side by side --------------------------------------------------------------------------------


def test_a_comparison_asks_the_same_of_each_column(browser: Client, tiny: Release) -> None:
    columns = ({"temperature": "0"}, {"temperature": "1.5", "seed": "9"}, {"top_k": "5"})
    response = browser.post(COMPARE, compared(tiny, *columns))
    job = Job.objects.get()
    assert response["Location"] == f"/sandbox/jobs/{job.pk}/"
    assert job.kind == Job.Kind.COMPARISON
    runs = list(job.runs.order_by("position"))
    assert [(run.temperature, run.seed, run.top_k) for run in runs] == [
        (0.0, 1, 0),
        (1.5, 9, 0),
        (0.0, 1, 5),
    ]
    assert {run.prompt for run in runs} == {"Once"}
    assert all(run.logprobs and run.prompt_logprobs for run in runs)


def test_its_page_follows_all_columns_at_once(browser: Client, tiny: Release) -> None:
    page = browser.post(COMPARE, compared(tiny, {}, {}), follow=True).content.decode()
    for run in Run.objects.all():
        assert f'sse-connect="/sandbox/runs/{run.pk}/stream/?column"' in page
    assert "0 of 2 are over." in page
    assert "Stop all" in page


@pytest.mark.parametrize("filled", [0, 1])
def test_one_column_is_no_comparison(browser: Client, tiny: Release, filled: int) -> None:
    response = browser.post(COMPARE, compared(tiny, *[{}] * filled))
    assert response.status_code == 400
    assert "Fill 2 to 4 columns" in response.content.decode()
    assert not Job.objects.exists()


def test_more_than_four_columns_are_refused(
    alice: Account, tiny: Release, grant: Grant, browser: Client
) -> None:
    with pytest.raises(Refusal):
        jobs.compare(actor=alice, columns=[(tiny, {"prompt": "Once"})] * 5)
    many = compared(tiny, {}, {}) | {"columns-TOTAL_FORMS": "9", "columns-INITIAL_FORMS": "9"}
    assert browser.post(COMPARE, many).status_code == 400
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("column", "changes", "said"),
    [
        ({"temperature": "3"}, {}, "The temperature must be from 0 to 2"),
        ({"temperature": "warm"}, {}, "Enter a number."),
        ({"release": "nothing-here"}, {}, "Select a valid choice."),
        ({}, {"prompt": ""}, "The prompt is empty"),
        ({}, {"max_tokens": "99999"}, "Ask for 1 to 1024 tokens"),
    ],
)
def test_what_does_not_fit_is_explained_and_nothing_starts(
    browser: Client, tiny: Release, column: dict[str, str], changes: dict[str, str], said: str
) -> None:
    response = browser.post(COMPARE, compared(tiny, {}, column, **changes))
    assert response.status_code == 400
    assert said in response.content.decode()
    assert not Run.objects.exists()


def test_a_form_without_its_columns_is_refused(browser: Client) -> None:
    response = browser.post(COMPARE, {"prompt": "Once", "mode": "plain", "max_tokens": "8"})
    assert response.status_code == 400


def test_identical_columns_are_said_to_be_identical(browser: Client, tiny: Release) -> None:
    browser.post(COMPARE, compared(tiny, {}, {}, {}))
    runs = list(Run.objects.order_by("position"))
    for run in runs:
        over(run, "the same")
    page = browser.get(Job.objects.get().get_absolute_url()).content.decode()
    assert "All columns wrote the same text." in page
    over(runs[2], "the sane")
    page = browser.get(Job.objects.get().get_absolute_url()).content.decode()
    assert "Column 2: the same text as column 1." in page
    assert "Column 3: differs from column 1 from character 7 on." in page


def test_the_end_of_a_column_comes_as_a_column(
    browser: Client, tiny: Release, alice: Account
) -> None:
    browser.post(COMPARE, compared(tiny, {}, {}))
    run = Run.objects.order_by("position")[0]
    over(run, "abc")
    client = AsyncClient()
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    heard = hear(client, f"/sandbox/runs/{run.pk}/stream/?column")
    (end,) = heard.named("end")
    assert 'aria-label="Column 1"' in end.data
    assert "Regenerate" not in end.data


# ---- Sweeps --------------------------------------------------------------------------------------


def test_a_sweep_runs_each_temperature_with_each_seed(browser: Client, tiny: Release) -> None:
    browser.post(SWEEP, swept(tiny))
    job = Job.objects.get()
    cells = [(run.temperature, run.seed) for run in job.runs.order_by("position")]
    assert cells == list(product([0.0, 0.5], [1, 2, 3]))
    assert job.kind == Job.Kind.SWEEP


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        ("1-4", [1, 2, 3, 4]),
        ("7", [7]),
        ("3, 1 2;9", [3, 1, 2, 9]),
        ("1-3, 2, 8-9", [1, 2, 3, 8, 9]),
    ],
)
def test_seeds_are_written_as_numbers_and_ranges(
    browser: Client, tiny: Release, given: str, seeds: list[int]
) -> None:
    browser.post(SWEEP, swept(tiny, seeds=given, temperatures="1"))
    assert [run.seed for run in Run.objects.order_by("position")] == seeds


def test_sixty_four_cells_are_run_and_sixty_five_are_not(browser: Client, tiny: Release) -> None:
    response = browser.post(SWEEP, swept(tiny, seeds="1-65", temperatures="1"))
    assert response.status_code == 400
    said = "1 temperature × 65 seeds are 65 runs; a sweep has at most 64."
    assert said in response.content.decode()
    assert not Job.objects.exists()
    assert browser.post(SWEEP, swept(tiny, seeds="1-64", temperatures="1")).status_code == 302
    assert Run.objects.count() == 64


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": "one"}, "Write whole numbers with commas between"),
        ({"seeds": "5-1"}, "Write whole numbers with commas between"),
        ({"seeds": "1-99999999999"}, "Write whole numbers with commas between"),
        ({"seeds": ""}, "This field is required."),
        ({"seeds": ", ,"}, "This field is required."),
        ({"temperatures": "warm"}, "Write numbers with commas between"),
        ({"temperatures": "0, 3"}, "The temperature must be from 0 to 2, not 3.0."),
        ({"temperatures": "nan"}, "The temperature must be from 0 to 2, not nan."),
        ({"prompt": ""}, "The prompt is empty"),
        ({"top_p": "1.5"}, "The top-p must be from 0 to 1"),
    ],
)
def test_a_sweep_that_does_not_fit_is_explained(
    browser: Client, tiny: Release, changes: dict[str, str], said: str
) -> None:
    response = browser.post(SWEEP, swept(tiny, **changes))
    assert response.status_code == 400
    assert said in response.content.decode()
    assert not Run.objects.exists()


def test_results_with_the_same_text_have_the_same_letter(
    alice: Account, tiny: Release, grant: Grant
) -> None:
    job = sweep(alice, tiny)
    first, second, third, fourth = job.runs.order_by("position")
    for run, text in ((first, "same"), (second, "same"), (third, "other")):
        over(run, text)
    found = results.of_job(job)
    assert [result.group for result in found.results] == ["A", "A", "B", ""]
    assert [result.is_shared for result in found.results] == [True, True, False, False]
    assert (found.over, found.is_over, found.different) == (3, False, 2)
    assert [(row.temperature, len(row.cells)) for row in found.rows] == [(0.0, 2), (0.5, 2)]
    over(fourth, "same")
    assert results.of_job(job).is_over


def test_the_page_shows_progress_then_the_table(
    browser: Client, alice: Account, tiny: Release
) -> None:
    job = sweep(alice, tiny)
    runs = list(job.runs.order_by("position"))
    over(runs[0], "first <b>text</b>")
    page = browser.get(job.get_absolute_url()).content.decode()
    assert '<progress id="progress" value="1" max="4">' in page
    assert 'hx-trigger="every 2s"' in page
    for run in runs[1:]:
        over(run, "first <b>text</b>")
    page = browser.get(job.get_absolute_url()).content.decode()
    assert "<progress" not in page
    assert "hx-trigger" not in page.partition("<main")[2]
    assert "A × 4" in page
    assert "first &lt;b&gt;text&lt;/b&gt;" in page
    assert all(run.get_absolute_url() in page for run in runs)


def rows_of(client: Client, job: Job, kind: str) -> str:
    response = client.get(f"/sandbox/jobs/{job.pk}/results.{kind}")
    assert response.status_code == 200
    assert f"sweep-{str(job.pk)[:8]}.{kind}" in response["Content-Disposition"]
    return b"".join(response).decode()


def test_the_file_has_a_line_for_each_run_and_no_formulas(
    browser: Client, alice: Account, tiny: Release
) -> None:
    job = sweep(alice, tiny, prompt="=1+1")
    texts = ["=cmd|' /C calc'!A0", "plain", 'two\nlines, and "quotes"', "@SUM(A1)"]
    for run, text in zip(job.runs.order_by("position"), texts, strict=True):
        over(run, text)
    lines = list(csv.DictReader(io.StringIO(rows_of(browser, job, "csv"))))
    assert [line["output"] for line in lines] == [f"'{texts[0]}", *texts[1:3], f"'{texts[3]}"]
    assert {line["prompt"] for line in lines} == {"'=1+1"}
    assert [(line["temperature"], line["seed"]) for line in lines] == [
        ("0.0", "1"), ("0.0", "2"), ("0.5", "1"), ("0.5", "2"),
    ]  # fmt: skip
    told = [json.loads(line) for line in rows_of(browser, job, "jsonl").splitlines()]
    assert [line["output"] for line in told] == texts


def test_another_kind_of_file_is_refused(browser: Client, alice: Account, tiny: Release) -> None:
    job = sweep(alice, tiny)
    assert browser.get(f"/sandbox/jobs/{job.pk}/results.xlsx").status_code == 404


# ---- The whole job -------------------------------------------------------------------------------


def test_stop_all_ends_what_is_not_over(browser: Client, alice: Account, tiny: Release) -> None:
    job = sweep(alice, tiny)
    done = over(job.runs.order_by("position")[0], "done")
    assert browser.get(f"/sandbox/jobs/{job.pk}/cancel/").status_code == 405
    response = browser.post(f"/sandbox/jobs/{job.pk}/cancel/")
    assert response["Location"] == job.get_absolute_url()
    states = list(job.runs.order_by("position").values_list("status", flat=True))
    assert states == ["finished", "cancelled", "cancelled", "cancelled"]
    done.refresh_from_db()
    assert done.output == "done"
    assert browser.post(f"/sandbox/jobs/{job.pk}/cancel/").status_code == 302, "again: nothing"


def test_the_job_of_another_is_not_there(
    alice: Account, tiny: Release, grant: Grant, mallory: Account, rita: Account
) -> None:
    job = sweep(alice, tiny)
    for stranger in (mallory, rita):
        client = signed_in(stranger)
        for address in ("", "results.csv", "results.jsonl"):
            assert client.get(f"/sandbox/jobs/{job.pk}/{address}").status_code == 404
        assert client.post(f"/sandbox/jobs/{job.pk}/cancel/").status_code == 404
        assert str(job.pk) not in client.get("/sandbox/").content.decode()
    assert set(job.runs.values_list("status", flat=True)) == {"queued"}
    assert Client().get(f"/sandbox/jobs/{job.pk}/").status_code == 302


def test_without_a_grant_nothing_is_compared_or_swept(mallory: Account, tiny: Release) -> None:
    client = signed_in(mallory)
    for address, values in ((COMPARE, compared(tiny, {}, {})), (SWEEP, swept(tiny))):
        assert client.get(address)["Location"] == "/sandbox/"
        client.post(address, values)
    with pytest.raises(Refusal) as refused:
        sweep(mallory, tiny)
    assert refused.value.code is Code.NOT_GRANTED
    assert not Run.objects.exists()


def test_a_job_is_found_beside_the_form_and_from_its_runs(
    browser: Client, alice: Account, tiny: Release, prompt: Prompt
) -> None:
    job = sweep(alice, tiny)
    prompt(prompt="By itself")
    page = browser.get("/sandbox/").content.decode()
    assert job.get_absolute_url() in page
    assert page.count('<li class="small">') == 2, "a job's runs stand on its own page"
    run = job.runs.all()[0]
    assert job.get_absolute_url() in browser.get(run.get_absolute_url()).content.decode()


def test_a_page_of_sixty_four_runs_asks_no_more_than_one_of_two(
    browser: Client,
    alice: Account,
    tiny: Release,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    job = sweep(alice, tiny, seeds=list(range(32)))
    with django_assert_max_num_queries(8):
        assert browser.get(job.get_absolute_url()).status_code == 200
