"""Three people's runs are answered as ever while odd requests arrive beside them over REST."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from inference_sandbox import generation, services
from inference_sandbox.models import Run
from portal.accounts.models import Account, Scope
from portal.catalog.models import Family, Release
from tests.inference_sandbox.conftest import give, tiny_release
from tests.inference_sandbox.engine.odd import SECONDS, mostly, options, tokens
from tests.inference_sandbox.engine.releases import PARAMS, make_small
from tests.inference_sandbox.test_api import start
from tests.people import with_token

pytestmark = pytest.mark.django_db(transaction=True)
CONTEXT = 96
texts = mostly(st.just("Once"), st.text(st.characters(), max_size=CONTEXT + 9))
ids = tokens(PARAMS["vocab_size"])
bodies = st.fixed_dictionaries(
    {},
    optional={
        **options(PARAMS["vocab_size"], CONTEXT // 2),
        "prompt_ids": st.lists(ids, max_size=6),
        "forced": st.lists(ids, max_size=3),
        "messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": texts})),
        "mode": mostly(st.sampled_from(["plain", "chat"]), st.just("odd")),
    },
)


@pytest.fixture
def release(family: Family, tmp_path: Path, settings: Any) -> Release:
    settings.SANDBOX_SIMULTANEOUS, settings.SANDBOX_TOKENS_PER_DAY = 1000, 10**9
    rates = dict.fromkeys(settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "100000/min")
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    return tiny_release(family, make_small(tmp_path, PARAMS | {"max_seq_len": CONTEXT}))


class Person:
    """Asks the same again and again, and notes when the answer is not what it was alone."""

    def __init__(self, release: Release, account: Account, **asked: Any) -> None:
        self._asked = {"actor": account, "release": release, "max_tokens": 30, **asked}
        self._alone, self.answers, self.wrong = self._answer(), 0, list[Run]()
        assert self._alone.status == "finished"

    def _answer(self) -> Run:
        run = services.create_run(**self._asked)
        generation.execute(run.pk)
        run.refresh_from_db()
        return run

    def go_on(self, leaves: threading.Event) -> None:
        while not leaves.is_set() and not self.wrong:
            run = self._answer()
            self.answers += 1
            if (run.status, run.output_ids) != (self._alone.status, self._alone.output_ids):
                self.wrong.append(run)


@pytest.fixture
def people(release: Release, alice: Account, rita: Account) -> list[Person]:
    for account in (alice, rita):
        give(account, release)
    return [
        Person(release, alice, prompt="Once upon", temperature=0.0, ignore_eos=True),
        Person(release, alice, prompt="A", temperature=0.9, top_p=0.9, seed=5, ignore_eos=True),
        Person(release, rita, prompt="Why?", temperature=0.0, logprobs=3, ignore_eos=True),
    ]


@pytest.fixture
def in_threads() -> Iterator[Callable[..., None]]:
    threads: list[threading.Thread] = []

    def begin(act: Callable[..., None], *args: Any) -> None:
        def work() -> None:
            try:
                act(*args)
            finally:
                close_old_connections()

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield begin
    for thread in threads:
        thread.join(120)


def test_three_peoples_runs_are_answered_beside_odd_requests(
    release: Release, people: list[Person], mallory: Account, in_threads: Callable[..., None]
) -> None:
    give(mallory, release)
    program, leaves = with_token(mallory, Scope.SANDBOX), threading.Event()
    statuses: list[int] = []

    @with_settings(
        max_examples=10,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # what has gone wrong stays so: nothing can be made smaller
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @given(texts, bodies)
    def send(prompt: str, body: dict[str, Any]) -> None:
        statuses.append(answered(program, {"release": release.slug, "prompt": prompt, **body}))
        assert [person.wrong for person in people] == [[]] * 3

    assert answered(program, {"release": release.slug, "prompt": "Once", "top_p": 1e-46}) == 201
    for person in people:
        in_threads(person.go_on, leaves)
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            send()
    finally:
        leaves.set()
    assert set(statuses) <= {201, 400}
    assert all(person.answers for person in people), "they were answered meanwhile"


def answered(program: Client, body: dict[str, Any]) -> int:
    """The status; a run that was taken has an end."""
    body["logit_bias"] = {str(k): v for k, v in body.get("logit_bias", {}).items()}
    response = start(program, **{"max_tokens": 20, **body})
    if response.status_code == 201:
        run_id = response.json()["id"]
        generation.execute(run_id)
        run = Run.objects.get(pk=run_id)
        assert run.is_over
        assert run.status == "finished" or run.error
    return int(response.status_code)
