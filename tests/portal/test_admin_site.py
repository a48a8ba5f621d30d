"""The side bar of the admin: to each role its own lines, asked for once a page."""

import re
from collections import Counter

import pytest

from portal.accounts import roles
from portal.accounts.models import Account
from portal.accounts.roles import Role
from tests.people import person, signed_in

GRANTS, RELEASES = "/admin/access_requests/grant/", "/admin/catalog/release/"
EVENTS, STATE = "/admin/audit/event/", "/admin/state/"
FACTORS = "/admin/mfa/authenticator/"


def lines(account: Account, address: str) -> set[str]:
    html = signed_in(account).get(address).content.decode()
    return set(re.findall(r'<a href="(/admin/[^"]*)" class="flex h-\[38px\]', html))


@pytest.mark.parametrize(
    ("role", "address", "shown", "hidden"),
    [
        (Role.REVIEWER, GRANTS, {GRANTS}, {RELEASES, EVENTS, STATE, FACTORS}),
        (Role.MANAGER, GRANTS, {GRANTS, RELEASES, EVENTS, STATE}, {FACTORS}),
        (Role.AUDITOR, EVENTS, {EVENTS}, {GRANTS, RELEASES, STATE, FACTORS}),
        (Role.OPERATOR, STATE, {STATE}, {GRANTS, RELEASES, EVENTS, FACTORS}),
    ],
)
def test_each_role_is_shown_what_it_may_open(
    db: None, role: Role, address: str, shown: set[str], hidden: set[str]
) -> None:
    found = lines(person("somebody", role), address)
    assert shown <= found
    assert not hidden & found


def test_a_superuser_is_shown_everything(db: None) -> None:
    root = person("root")
    root.is_staff = root.is_superuser = True
    root.save()
    assert {GRANTS, RELEASES, EVENTS, STATE, FACTORS} <= lines(root, GRANTS)


@pytest.mark.parametrize(
    "address", [GRANTS, f"{GRANTS}then/", "/admin/access_requests/application/fairness/"]
)
def test_the_line_of_the_open_page_alone_is_marked(manager: Account, address: str) -> None:
    html = signed_in(manager).get(address).content.decode()
    assert re.findall(r'<a href="(/admin/[^"]*)" class="[^"]* active"', html) == [address]


def test_a_page_asks_once_for_each_role(manager: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()

    def counting(name: str) -> None:
        ask = getattr(roles, name)
        monkeypatch.setattr(roles, name, lambda request: (asked.update([name]), ask(request))[1])

    for who in ("reviewer", "manager", "auditor", "operator", "superuser"):
        counting(f"request_{who}")
    signed_in(manager).get(GRANTS)
    assert set(asked.values()) == {1}
    assert len(asked) == 5


def test_the_page_of_an_app_lists_its_models_to_those_who_may_open_them(
    manager: Account, mallory: Account
) -> None:
    assert RELEASES in signed_in(manager).get("/admin/catalog/").content.decode()
    assert signed_in(mallory).get("/admin/catalog/").status_code != 200


def test_an_empty_list_offers_nothing_that_its_reader_may_not_do(db: None) -> None:
    client = signed_in(person("mona", Role.MANAGER))
    empty = client.get("/admin/distribution/alarm/").content.decode()
    assert "There is no alarm to show." in empty
    assert "Create a new item" not in empty
    fits = client.get("/admin/distribution/alarm/?kind__exact=burst").content.decode()
    assert "No alarm fits this search and these filters." in fits


@pytest.mark.parametrize(
    ("role", "address", "readers"),
    [
        (Role.REVIEWER, "/admin/catalog/licence/", "managers"),
        (Role.REVIEWER, STATE, "operators and managers"),
        (Role.REVIEWER, EVENTS, "auditors and managers"),
        (Role.AUDITOR, GRANTS, "reviewers and managers"),
        (Role.MANAGER, FACTORS, "superusers"),
    ],
)
def test_a_page_of_another_role_says_whose_it_is_and_leads_back(
    db: None, role: Role, address: str, readers: str
) -> None:
    client = signed_in(person("ruth", role))
    answer = client.get(address)
    page = answer.content.decode()
    assert answer.status_code == 403
    own = role.value.removesuffix("s").lower()
    assert f"This page is for {readers}. You are signed in as Ruth Example, {own}." in page
    assert "for the role" not in page
    assert "Back to your start page" in page
    assert client.get("/admin/", follow=True).status_code == 200


def test_who_has_no_role_is_told_nothing_of_the_pages(db: None) -> None:
    staff = person("nora")
    staff.is_staff = True
    staff.save()
    answer = signed_in(staff).get(EVENTS, follow=True)
    assert "This page is for" not in answer.content.decode()


def test_what_nobody_does_in_the_admin_is_not_called_a_matter_of_role(manager: Account) -> None:
    page = signed_in(manager).get(f"{GRANTS}add/").content.decode()
    assert "Nobody can do this here" in page
    assert "This page is for" not in page
