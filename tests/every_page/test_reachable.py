"""Nobody has to type an address: a link leads to every page, and a button to every act."""

import re

import pytest

from access_requests.workflow import Action, Role, State, actions_for
from tests.every_page.conftest import Found
from tests.every_page.crawl import Page, offers
from tests.walker.addresses import ACTIONS, DESK_FORMS, routes

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.timeout(900),
]  # the crawl counts for its first test

MAILED = "a mail carries the link"
SENT = "a form leads there once it is sent"
PROGRAMS = "asked by programs and scripts, not by people"
DJANGO = "the admin's own, without which nothing is missed: it leads on to a page that is reached"
RECORD = "the admin's own history is off: what happened to a row stands in the audit log"
NO_OTHER_DOOR = "no other site to sign in with is set up"
REPO = "addresses that people know from a hub and type: they lead to the release's page"
NOT_LINKED = {
    r"healthz|api/.*|(v1|models)/.*|tokenizer_info|<repo:repo>/(resolve|raw)/<path:rest>": PROGRAMS,
    r"<repo:repo>/?|<repo:repo>/(tree|blob)/<path:rest>": REPO,
    r"download/<rest>": "a link that a mail or a chat damaged on its way",
    r"account/2fa/webauthn/login/": "the script of the passkey button asks it",
    r"sandbox/runs/<uuid:run_id>/stream/": "the script of the run's page reads it",
    r"admin/(jsi18n|autocomplete)/": "the admin's scripts ask it",
    r"applications/(vouch|join)/<str:token>/": MAILED,
    r"account/confirm-email/<key>/|account/password/reset/key/<uidb36>-<key>/": MAILED,
    r"account/confirm-email/|account/password/reset/(done|key/done)/": SENT,
    r"account/2fa/authenticate/|admin/password_change/done/": SENT,
    r"account/inactive/": "who is closed out is told there, after signing in",
    r"account/logout/": "the button of every page signs out at once; this asks again without a script",
    r"account/(password/set|login/code/confirm)/": "allauth's, for what this site does not offer",
    r"account/(3rdparty|social)/.*|admin/socialaccount/.*": NO_OTHER_DOOR,
    r"admin/access_requests/grant/then/(export/<slug:kind>|<int:pk>)/": SENT,
    r"admin/access_requests/form/preview/": SENT,
    r"applications/<int:pk>/licence/": SENT,
    r"admin/.*/<path:object_id>/history/": RECORD,
    r"admin/(\w+/\w+/<path:object_id>/|r/<path:content_type_id>/<path:object_id>/)": DJANGO,
    r"admin/<url>": "the admin's word for an address that is none",
}


def test_a_link_leads_to_every_page_that_somebody_may_open(found: Found) -> None:
    missing = [
        path
        for path in sorted({r.path for r in routes()} - set(found.by_links.pages) - found.acts)
        if path in found.by_forms.pages or found.typed_in.get(path, 500) < 400
        if not any(re.fullmatch(pattern, path) for pattern in NOT_LINKED)
    ]
    assert not missing, f"no link leads there: {missing}"


def test_no_excuse_is_made_for_what_is_linked(found: Found) -> None:
    idle = [
        pattern
        for pattern in NOT_LINKED
        if all(
            route.path in found.by_links.pages
            for route in routes()
            if re.fullmatch(pattern, route.path)
        )
    ]
    assert not idle


def test_a_button_offers_every_act(found: Found) -> None:
    offered = {*found.by_links.offered, *found.by_forms.offered}
    missing = [path for path in sorted(found.acts) if ("POST", path) not in offered]
    assert found.acts
    assert not missing, f"no button leads there: {missing}"


def test_a_button_offers_each_thing_that_the_admin_does_with_a_row(found: Found) -> None:
    offered = {
        tuple(address.strip("/").split("/")[i] for i in (2, -1))
        for crawl in (found.by_links, found.by_forms)
        for (method, path), addresses in crawl.offered.items()
        for address in addresses
        if method == "POST" and "/act/<slug:action>/" in path
    }
    wanted = {(model, action) for model, actions in ACTIONS.items() for action in actions}
    wanted |= {("application", str(action)) for action in (*_at_the_desk(), *DESK_FORMS)}
    assert offered == wanted


def _at_the_desk() -> set[Action]:
    people = (Role.CLAIMANT, Role.REVIEWER, Role.MANAGER)
    may = {action for state in State for role in people for action in actions_for(state, role)}
    return may - {Action.ENDORSE}  # the button that approves, where a second person has to


def test_links_and_buttons_are_read_as_a_browser_does() -> None:
    body = """<a href="/releases/">R</a> <a href="https://elsewhere.test/">E</a>
    <form method="post" action="/one/"><button type="button">no</button></form>
    <form method="post" id="two" action="/two/"></form><button form="two">yes</button>
    <form><button formmethod="post" formaction="three/">yes</button></form>"""
    read = {(one.method, one.address) for one in offers(Page("alice", "/account/", body))}
    assert read == {("GET", "/releases/"), ("POST", "/two/"), ("POST", "/account/three/")}
