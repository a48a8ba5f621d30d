"""Every URL pattern, every role, own and foreign things: nothing breaks, and nothing leaks."""

import pytest
from django.contrib import admin

from tests.walker.addresses import routes
from tests.walker.walk import WALKERS, Visit

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.timeout(1200),
]  # the walk counts for its first test

NONE_HERE = {"SocialApp", "SocialAccount"}  # no other site to sign in with is set up in the tests


def told(visits: list[Visit]) -> str:
    return "\n".join(str(visit) for visit in visits[:40])


def test_everybody_visits_every_pattern(visits: list[Visit]) -> None:
    seen = {(visit.who, visit.route.path) for visit in visits}
    assert seen == {(who, route.path) for who in WALKERS for route in routes()}


def test_no_address_breaks(visits: list[Visit]) -> None:
    """A refusal may say 503; an exception that nobody caught says nothing."""
    broken = [visit for visit in visits if visit.error]
    assert not broken, told(broken)


def test_no_page_shows_what_its_reader_may_not_see(visits: list[Visit]) -> None:
    leaks = {f"{visit}: {leak}" for visit in visits for leak in visit.leaks}
    assert not leaks, "\n".join(sorted(leaks)[:60])


def test_head_says_what_get_says(visits: list[Visit]) -> None:
    got = {(v.who, v.address): v.status for v in visits if v.method == "GET"}
    heads = [v for v in visits if v.method == "HEAD"]
    assert heads
    theirs = "/admin/login/"  # Django's own, which greets the signed-in at GET alone
    different = [
        v for v in heads if v.status not in (got[v.who, v.address], 405) and v.address != theirs
    ]
    assert not different, told(different)


def test_the_walk_shows_each_secret_to_somebody_or_it_proves_nothing(visits: list[Visit]) -> None:
    """The pages were really read: those who may see an admin page of each model saw it."""
    opened = {v.route.path for v in visits if v.who == "root" and v.status == 200}
    for model in admin.site._registry:
        label = f"{model._meta.app_label}/{model._meta.model_name}"
        assert f"admin/{label}/" in opened, label
        if model.__name__ not in NONE_HERE:
            assert f"admin/{label}/<path:object_id>/change/" in opened, label
