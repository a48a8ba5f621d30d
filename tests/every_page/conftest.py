"""Everything that people find on the site, found once for all tests that ask something of it."""

import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from tests.browser.conftest import browser as browser
from tests.every_page.crawl import Crawl, Page, crawl, follow
from tests.every_page.states import make_full_world, new_licence
from tests.every_page.typed import as_walker, typed
from tests.walker.addresses import addresses, routes
from tests.walker.marks import World
from tests.walker.walk import Walker

IN_TURN = ("alice", "mallory", "rita", "mona", "audrey", "otto", "stranger")
AFTER_THEM = ("sam", "root", "alice")  # who see what is left, and that the licence has a new text


@dataclass
class Found:
    by_links: Crawl = field(default_factory=Crawl)  # from the doors of the site
    by_forms: Crawl = field(default_factory=Crawl)  # and from what was typed or mailed
    # pattern → the best answer to whoever typed the address of a page that is in neither
    typed_in: dict[str, int] = field(default_factory=dict)
    acts: set[str] = field(default_factory=set)  # the patterns that take a POST alone

    def pages(self) -> dict[str, list[Page]]:
        both = {**self.by_links.pages}
        for pattern, pages in self.by_forms.pages.items():
            both[pattern] = [*both.get(pattern, []), *pages]
        return both


@pytest.fixture(scope="session")
def found(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Found:
    store = f"local:{tmp_path_factory.mktemp('store')}"
    quiet = override_settings(STORE_URL=store, ACCOUNT_RATE_LIMITS=False)
    logging.disable(logging.WARNING)
    try:
        with django_db_blocker.unblock(), quiet, transaction.atomic():
            found = _look(make_full_world())
            transaction.set_rollback(True)
    finally:
        logging.disable(logging.NOTSET)  # other tests of this process read the log
    return found


def _look(world: World) -> Found:
    found = Found()
    for who in IN_TURN:
        crawl(as_walker(world, who), found.by_links)
    pages = typed(world)
    new_licence(world)
    for who in AFTER_THEM:
        crawl(as_walker(world, who), found.by_links, only_new=True)
    found.by_forms.pages.update({pattern: [] for pattern in found.by_links.pages})
    for page in pages:
        follow(as_walker(world, page.who), page, found.by_forms)
    _type_the_rest(world, found)
    return found


def _type_the_rest(world: World, found: Found) -> None:
    walkers = [as_walker(world, who) for who in ("root", "mona", "alice")]
    for route in routes():
        if route.is_api or route.path in found.by_links.pages:
            continue
        there = {addresses(route, world, owner)[0] for owner in ("alice", "bob")}
        answers = {_answer(walker, address) for walker in walkers for address in there}
        if 405 in answers:
            found.acts.add(route.path)
        found.typed_in[route.path] = min(answers)


def _answer(walker: Walker, address: str) -> int:
    response = walker.ask("GET", address).response
    leads_to = response.get("Location", "")
    return 403 if "/login/" in leads_to or leads_to == "/admin/" else response.status_code
