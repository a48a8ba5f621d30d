"""Invented people, and what they applied for. Everything goes through the same services as a real application."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from unittest import mock

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from access_requests import services
from access_requests.models import Application, Form
from access_requests.questions import DEFAULT_QUESTIONS
from demo.catalogue import DEMO_REPO
from demo.stories import STORIES, Story
from portal.accounts.models import Account, Affiliation
from portal.accounts.roles import Role
from portal.catalog.models import Family, Release

PASSWORD = "weighbridge-demo"  # noqa: S105 - printed on the console of the demo
STAFF = {
    "reviewer@demo.test": ("Ruth Okafor", Role.REVIEWER),
    "second-reviewer@demo.test": ("Samuel Lind", Role.REVIEWER),
    "manager@demo.test": ("Mona Castellano", Role.MANAGER),
    "auditor@demo.test": ("Anselm Brandt", Role.AUDITOR),
    "operator@demo.test": ("Otis Farrell", Role.OPERATOR),
}


@transaction.atomic
def make() -> None:
    """Make the people, and once, when there is no application yet, the queue."""
    for email, (name, role) in STAFF.items():
        account = _account(email, name)
        account.is_staff = True
        account.save(update_fields=["is_staff"])
        account.groups.add(Group.objects.get(name=role.value))
    _account("newcomer@demo.test", "Noor Haddad")
    for family in Family.objects.all():
        if not Form.objects.filter(family=family).exists():
            services.make_form(family, DEFAULT_QUESTIONS)
    if not Application.objects.exists():
        _researcher()
        for story in STORIES:
            _tell(story)


def _account(email: str, name: str) -> Account:
    account = Account.objects.filter(email=email).first()
    if account is None:
        account = Account.objects.create_user(email, name=name)
        account.password = _hashed()
        account.save(update_fields=["password"])
        account.emailaddress_set.create(email=email, verified=True, primary=True)  # type: ignore[attr-defined]
    return account


@cache
def _hashed() -> str:
    """The password of all, hashed once: that takes a third of a second, as it should."""
    return make_password(PASSWORD)


@contextmanager
def _days_ago(days: float) -> Iterator[None]:
    """Act as if it were that long ago, so that the queue has ages and the time lines are true to them."""
    then = timezone.now() - timedelta(days=days)
    with mock.patch("django.utils.timezone.now", return_value=then):
        yield


def _researcher() -> None:
    """researcher@demo.test holds a grant for the demo release."""
    story = Story(
        email="researcher@demo.test",
        name="Ines Moreau",
        category="academia",
        institution="Université de Lyon",
        country="FR",
        position="Postdoctoral researcher",
        web_page="https://www.univ-lyon.example/moreau",
        repos=(DEMO_REPO,),
        days=6,
        purpose="I study how small language models store facts, layer by layer, and whether "
        "what we see in them holds in larger ones of the same architecture.",
        use="Activation patching and probing on our own GPU server; no product, no service.",
        outcome="approve",
    )
    _tell(story)


def _tell(story: Story) -> None:
    applicant = _account(story.email, story.name)
    with _days_ago(story.days):
        Affiliation.objects.create(
            account=applicant,
            category=story.category,
            institution=story.institution,
            country=story.country,
            position=story.position,
            web_page=story.web_page,
            orcid=story.orcid,
        )
        releases = list(Release.objects.filter(repo_id__in=story.repos))
        application = services.start(actor=applicant, releases=releases)
        services.save_draft(
            application.pk, actor=applicant, releases=releases, answers=story.answers()
        )
        services.submit(application.pk, actor=applicant, typed_name=applicant.name)
    _decide(application, story)


def _decide(application: Application, story: Story) -> None:
    if not story.outcome:
        return
    reviewer = Account.objects.get(email=story.reviewer)
    with _days_ago(story.days - story.decided_after):
        services.claim(application.pk, actor=reviewer)
        seen = services.read_now(application.pk)
        if story.outcome == "return":
            services.return_for_correction(
                application.pk, actor=reviewer, seen=seen, message=story.reason
            )
        elif story.outcome in ("approve", "refuse"):
            services.decide(
                application.pk,
                actor=reviewer,
                seen=seen,
                approve=story.outcome == "approve",
                reason=story.reason,
            )
