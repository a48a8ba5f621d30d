"""The states that the walk's world leaves out, so that each button and each page has its moment."""

from typing import Any
from uuid import uuid4

from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.utils import timezone

from access_requests import mailed_links, services
from access_requests.models import Application, Grant, SecondLook
from distribution.models import Alarm, Revision
from inference_sandbox.models import Job, Run
from portal.accounts import erasing
from portal.audit.sealing import seal_waiting
from portal.catalog.models import Licence, LicenceVersion, Release
from portal.webhooks.models import Subscription
from tests.access_requests.people import seen_now
from tests.walker.marks import World
from tests.walker.world import make_world


def make_full_world() -> World:
    world = make_world()
    _refused(world)
    _corrected(world)
    _waiting_for_others(world)
    _lab(world)
    _second_look(world)
    _webhooks()
    _published(world)
    RecoveryCodes.activate(world.people["alice"])
    erasing.ask(world.people["mallory"].pk, actor=world.people["mallory"])
    _running(world)
    seal_waiting()
    return world


def _of(world: World, owner: str, family: str) -> Application:
    return Application.objects.get(applicant=world.people[owner], family__slug=family)


def _refused(world: World) -> None:
    """Alice may appeal."""
    refused = _of(world, "alice", "claimed-by-sam")
    services.decide(
        refused.pk,
        seen=seen_now(refused.pk),
        actor=world.people["sam"],
        approve=False,
        reason="Too vague.",
    )


def _corrected(world: World) -> None:
    """Bob has corrected his: what changed is marked, and his witnesses are still asked."""
    returned, bob = _of(world, "bob", "returned"), world.people["bob"]
    answers = {**returned.answers, "intended_use": "Probing on the university's cluster."}
    services.save_draft(
        returned.pk, actor=bob, releases=list(returned.releases.all()), answers=answers
    )
    services.submit(returned.pk, actor=bob, typed_name=bob.name)


def _waiting_for_others(world: World) -> None:
    """Mona is asked for her review, and may go without a witness."""
    claimed, rita = _of(world, "bob", "claimed-by-rita"), world.people["rita"]
    mona = world.people["mona"]
    claimed.opinions.filter(reviewer=mona).delete()
    services.ask(claimed.pk, actor=rita, reviewer=mona, question="What do you make of it?")


def _lab(world: World) -> None:
    """Carol joined after the approval, and waits to be admitted; Mallory is invited."""
    approved, carol = _of(world, "bob", "llama"), world.people["carol"]
    member = services.invite(approved.pk, actor=world.people["bob"], email=carol.email)
    token = mailed_links.url("join", member.pk, member.nonce).rstrip("/").rpartition("/")[2]
    services.join(token, actor=carol, typed_name=carol.name)
    services.invite(approved.pk, actor=world.people["bob"], email=world.people["mallory"].email)


def _second_look(world: World) -> None:
    """One of those that were drawn still waits for Sam."""
    SecondLook.objects.filter(application__applicant=world.people["bob"]).update(
        outcome=SecondLook.Outcome.OPEN, reason="", answered_at=None, reviewer=world.people["sam"]
    )


def _webhooks() -> None:
    """One rests, one fails."""
    like = Subscription.objects.get()
    for name, fields in (
        ("rests", {"paused_at": timezone.now()}),
        ("fails", {"failing_since": timezone.now(), "failures": 3, "queued": 4}),
    ):
        Subscription.objects.create(
            name=name, url=like.url, secret=like.secret, taken_seal=0, **fields
        )


def _published(world: World) -> None:
    """A revision that may become the current one, one taken down, a release withdrawn; an alarm that stands."""
    fields = {"layout": Revision.Layout.ORIGINAL}
    llama, other = world.releases["llama"]
    Revision.objects.create(release=llama, digest="d" * 40, **fields)
    down = {"taken_down_at": timezone.now(), "taken_down_reason": "A shard was damaged."}
    Revision.objects.create(release=llama, digest="e" * 40, **fields, **down)
    Revision.objects.create(release=other, digest="f" * 40, is_current=True, **fields)
    other.status = Release.Status.WITHDRAWN
    other.save(update_fields=["status"])
    grant = Grant.objects.get(pk=world.things["bob"]["grant"][0])
    Alarm.objects.create(grant=grant, kind=Alarm.Kind.NETWORKS, found=9, limit=5)


def _running(world: World) -> None:
    """Alice waits for an answer, compares two, and holds a conversation that may go on."""
    alice = world.people["alice"]
    done = Run.objects.filter(account=alice, job=None, reports=None).get()
    _like(done, status=Run.Status.RUNNING, finished_at=None)
    _like(done, mode=Run.Mode.CHAT, parent=done)
    job = Job.objects.create(account=alice, kind=Job.Kind.COMPARISON)
    _like(done, job=job)
    _like(done, job=job, position=1, status=Run.Status.RUNNING, finished_at=None)


def _like(run: Run, **other: Any) -> None:
    copy = Run.objects.get(pk=run.pk)
    copy.pk, copy._state.adding = uuid4(), True
    for name, value in other.items():
        setattr(copy, name, value)
    copy.save()


def new_licence(world: World) -> None:
    """Everybody who holds a grant is asked to accept the text anew."""
    services.publish_version(
        Licence.objects.get().pk,
        actor=world.people["mona"],
        text="# For research\n\nAnd for teaching.",
        standing=LicenceVersion.Standing.REACCEPT,
        reaccept_days=30,
    )
