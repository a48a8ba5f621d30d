"""docs/reference/permissions.md says what the code does: it is written by the walk, and compared with it.

UPDATE_DOCS=1 script/test tests/walker      writes the page anew; read the difference before you commit
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from access_requests.workflow import (
    GRANT_TRANSITIONS,
    Action,
    GrantAction,
    Role,
    State,
    actions_for,
)
from tests.walker.addresses import OPENAI
from tests.walker.walk import WALKERS, Visit

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.timeout(1200),
]  # the walk counts for its first test
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "permissions.md"
COLUMNS = (
    "Stranger",
    "Newcomer",
    "Applicant",
    "Reviewer",
    "Manager",
    "Auditor",
    "Operator",
    "Superuser",
)
ANSWERS = ("yes", "not now", "sign in", "no", "hidden")  # the best of several things is told
CHAPTERS = {
    "Pages": lambda path: not path.startswith(("api/", "admin/", "account/", *OPENAI)),
    "One's account": lambda path: path.startswith("account/"),
    "The API": lambda path: path.startswith(("api/", *OPENAI)),
    "The review desk and the admin": lambda path: path.startswith("admin/"),
}
INTRODUCTION = """# Permissions

Who may do what. This page is written by the tests: everybody walks to every address of the site, with things of their
own and with those of another person, and what the site answers stands here. A test fails when it is not true any more;
`UPDATE_DOCS=1 script/test tests/walker` writes it anew.

| Answer | Means |
|---|---|
| yes | it is done or shown, or the form says what is missing |
| not now | this person may, but not in the state that the thing is in |
| sign in | only to people who are signed in; for what guards an account, who typed the password again just now |
| no | the site says that this person may not |
| hidden | the site does not even say whether it exists |

Where a thing belongs to somebody, a cell says two words: for one's **own** things / for those of **another**. A
newcomer has nothing, and a stranger is nobody, so for them there is one. Of several things in several states the best
answer is told; the first two tables say which states those are.
"""


def test_the_page_of_permissions_says_what_the_site_does(visits: list[Visit]) -> None:
    text = page(visits)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "UPDATE_DOCS=1 script/test tests/walker writes it anew"


def test_nobody_but_the_owner_and_the_reviewers_is_told_yes_of_a_foreign_thing(
    visits: list[Visit],
) -> None:
    """What the page may never come to say, however often it is written anew."""
    open_ = {
        (v.who, v.route.path)
        for v in visits
        if v.counts and v.route.has_owner and not v.own and answer(v) in ("yes", "not now")
    }
    by_key = ("<key>", "<str:token>", "download/<rest>")  # a link from a mail speaks for itself
    for who, path in open_:
        if any(key in path for key in by_key):
            continue
        assert who not in ("stranger", "mallory", "alice"), f"{who}: {path}"
        if who in ("audrey", "otto"):
            # `r/` and the bare id only lead on to the address of a thing, which then refuses.
            leads_on = path.startswith("admin/r/") or path.endswith("/<path:object_id>/")
            theirs = ("admin/audit/", "api/v1/events/", "admin/access_requests/grant/then/")
            own_part = (*theirs, "api/v1/access-then/") if who == "audrey" else ()
            assert path.startswith(own_part) or leads_on, f"{who}: {path}"


def test_a_reviewer_is_never_told_yes_to_decide_their_own(visits: list[Visit]) -> None:
    acts = [
        v
        for v in visits
        if v.counts and v.own and v.method == "POST" and v.who in ("rita", "mona", "root")
        if any(f"/{act}/" in v.address for act in ("claim", "approve", "refuse", "return"))
    ]
    assert acts
    assert {answer(v) for v in acts} <= {"no", "hidden"}, [str(v) for v in acts]


def answer(visit: Visit) -> str:
    """The answer in one of the page's words."""
    asks_to_sign_in = visit.status == 401 or "/login/" in visit.location
    if asks_to_sign_in and visit.route.path not in ("account/login/", "admin/login/"):
        return "sign in" if visit.who == "stranger" else "no"
    if "/account/reauthenticate/" in visit.location:
        return "sign in"  # the password again; whose the thing is, is asked after that
    if visit.location == "/admin/" and visit.route.path.count("/") > 2:
        return "hidden"  # how the admin says that it has no such row
    if visit.status == 409 and visit.code != "conflict":
        return "not now"
    return {403: "no", 409: "no", 404: "hidden", 410: "hidden"}.get(visit.status, "yes")


def page(visits: list[Visit]) -> str:
    parts = [INTRODUCTION, *workflow_tables()]
    for title, belongs in CHAPTERS.items():
        parts.append(f"\n## {title}\n\n{heading(('Address', *COLUMNS))}")
        parts += rows([visit for visit in visits if belongs(visit.route.path)])
    return "".join(parts)


def heading(names: Iterable[str]) -> str:
    names = list(names)
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n"


def workflow_tables() -> list[str]:
    parts = ["\n## What becomes of an application\n\nThe states in which each may act.\n\n"]
    parts.append(heading(("Action", *(str(role).capitalize() for role in Role))))
    for action in Action:
        cells = [
            ", ".join(s.label for s in State if action in actions_for(s, role)) or "never"
            for role in Role
        ]
        parts.append(f"| {action} | {' | '.join(cells)} |\n")
    parts.append(
        "\n## What becomes of a grant\n\nManagers alone, and nobody reinstates their own.\n\n"
    )
    parts.append(heading(("Action", "From", "To")))
    for action in GrantAction:
        for (state, known), to in GRANT_TRANSITIONS.items():
            if known == action:
                parts.append(f"| {action} | {state} | {to} |\n")
    return parts


def rows(visits: list[Visit]) -> list[str]:
    told: dict[tuple[str, str], dict[tuple[str, bool], set[str]]] = defaultdict(
        lambda: defaultdict(set)
    )
    for visit in visits:
        if visit.method == "HEAD" or not visit.counts:
            continue
        told[visit.route.path, visit.method][visit.who, visit.own].add(answer(visit))
    lines = []
    for (path, method), answers in sorted(told.items()):
        cells = [cell(answers, who) for who in WALKERS]
        lines.append(f"| {method} `/{path}` | {' | '.join(cells)} |\n")
    return lines


def cell(answers: dict[tuple[str, bool], set[str]], who: str) -> str:
    parts = [best(answers[who, own]) for own in (True, False) if (who, own) in answers]
    return " / ".join(parts)


def best(answers: set[str]) -> str:
    return min(answers, key=ANSWERS.index)
