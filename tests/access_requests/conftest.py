"""Applications at every point of their way."""

from collections.abc import Callable
from typing import Any

import pytest

from access_requests import services
from access_requests.models import Application, AutomaticRule, Grant
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from tests.access_requests import vouching
from tests.access_requests.people import ANSWERS, seen_now


@pytest.fixture
def draft(alice: Account, release: Release) -> Application:
    return services.start(actor=alice, releases=[release], answers=ANSWERS)


@pytest.fixture
def submitted(draft: Application, alice: Account) -> Application:
    return services.submit(draft.pk, actor=alice, typed_name=alice.name)


@pytest.fixture
def in_review(submitted: Application, rita: Account) -> Application:
    return services.claim(submitted.pk, actor=rita)


@pytest.fixture
def returned(in_review: Application, rita: Account) -> Application:
    return services.return_for_correction(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, message="Say which corpus."
    )


@pytest.fixture
def approved(in_review: Application, rita: Account) -> Application:
    return services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True, reason="Sound plan."
    )


@pytest.fixture
def refused(in_review: Application, rita: Account) -> Application:
    return services.decide(
        in_review.pk,
        seen=seen_now(in_review.pk),
        actor=rita,
        approve=False,
        reason="No research question.",
    )


@pytest.fixture
def grant(approved: Application) -> Grant:
    return approved.grants.get()


@pytest.fixture
def withdrawn(submitted: Application, alice: Account) -> Application:
    return services.withdraw(submitted.pk, actor=alice)


@pytest.fixture
def asking(release: Release, draft: Application) -> Application:
    """A draft for a release that asks for both."""
    vouching.ask_for(release, official=True, referee=True)
    return draft


@pytest.fixture
def waiting(asking: Application) -> Application:
    """Submitted, both asked by mail."""
    vouching.name(asking, "official"), vouching.name(asking, "referee")
    return vouching.submit(asking)


@pytest.fixture
def claimed(waiting: Application, rita: Account) -> Application:
    return services.claim(waiting.pk, actor=rita)


@pytest.fixture
def second_release(release: Release) -> Release:
    return another_release(release, "13b")


@pytest.fixture
def applied_by(release: Release, rita: Account) -> Callable[..., Application]:
    """An application by anybody, at the point that is asked for."""

    def make(account: Account, *, until: str = "submitted") -> Application:
        application = services.start(actor=account, releases=[release], answers=ANSWERS)
        if until != "draft":
            services.submit(application.pk, actor=account, typed_name=account.name)
        if until in ("in_review", "approved"):
            services.claim(application.pk, actor=rita)
        if until == "approved":
            services.decide(application.pk, seen=seen_now(application.pk), actor=rita, approve=True)
        application.refresh_from_db()
        return application

    return make


def another_release(release: Release, size: str, **fields: object) -> Release:
    values = {
        "family": release.family,
        "repo_id": f"meta/llama-{size}",
        "slug": f"llama-{size}",
        "name": f"LLaMA {size.upper()}",
        **fields,
    }
    return Release.objects.create(**values)


@pytest.fixture
def make_rule(manager: Account, family: Family) -> Callable[..., AutomaticRule]:
    def make(rule: AutomaticRule | None = None, **fields: Any) -> AutomaticRule:
        given: dict[str, Any] = {
            "family": family,
            "releases": [],
            "name": "Research domains",
            "conditions": ["research_domain"],
            "grant_days": 30,
            "is_active": True,
            **fields,
        }
        return services.write_rule(rule.pk if rule else None, actor=manager, **given)

    return make
