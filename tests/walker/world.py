"""A small world for the walk: who is in it, what each owns, and the secrets planted in what they own."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.utils import timezone

from access_requests import services
from access_requests.models import Application, Grant
from distribution import links
from distribution.models import Alarm, Artifact, Download, Revision
from distribution.services import alarms
from distribution.stores import get_store
from inference_sandbox import reports
from inference_sandbox.models import Job, Report, Run, RunTokens
from portal.accounts.models import ApiToken, Scope
from portal.accounts.roles import Role, make_groups
from portal.audit.sealing import seal_waiting
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from portal.mail.models import OutgoingMail
from tests.access_requests.people import seen_now
from tests.passkeys import give_passkey
from tests.people import person
from tests.walker import around
from tests.walker.marks import REVIEWERS, Secret, World

CONTENT = b"not weights, but bytes all the same"
SHA256 = "ab" * 32
CLAIMED = tuple(f"claimed-by-{name}" for name in ("sam", "rita", "mona", "root"))
FAMILIES = ("llama", "draft", "waiting", "returned", *CLAIMED)


ROLES: dict[str, tuple[Role, ...]] = {
    "mallory": (),  # signed in, and has nothing
    "alice": (),  # applied
    "bob": (),  # the other applicant, whose things are foreign to everybody
    "rita": (Role.REVIEWER,),
    "sam": (Role.REVIEWER,),
    "mona": (Role.MANAGER,),
    "audrey": (Role.AUDITOR,),
    "otto": (Role.OPERATOR,),
    "root": (),  # a superuser
    "carol": (),  # of everybody's lab
}
OWNERS = ("alice", "bob", "rita", "mona", "audrey", "root")


def make_world() -> World:
    """Everything through the services where there is one, so that events and mails are real."""
    world = World()
    make_groups()
    assert Group.objects.count() >= len(Role)
    for name, roles in ROLES.items():
        world.people[name] = person(name, *roles)
    root = world.people["root"]
    root.is_staff = root.is_superuser = True
    root.save()
    _catalogue(world)
    around.affiliate(world.people["carol"], institution="Everybody's lab")
    for owner in OWNERS:
        world.things[owner] = {}
        _affiliate(world, owner)
        _apply(world, owner)
        _use(world, owner)
        around.keep(world, owner)
        _plant_in_mails(world, owner)
    _second_factors(world)
    around.policies(world)
    around.webhook(world)
    seal_waiting()
    return world


def _catalogue(world: World) -> None:
    licence = Licence.objects.create(slug="noncommercial", name="Noncommercial licence")
    LicenceVersion.objects.create(licence=licence, number=1, text="# For research")
    for slug in FAMILIES:
        family = Family.objects.create(slug=slug, name=slug, publisher="meta", licence=licence)
        services.make_form(family, around.QUESTIONS)
        world.releases[slug] = [
            Release.objects.create(
                family=family,
                repo_id=f"meta/{slug}-{size}",
                slug=f"{slug}-{size}",
                name=f"{slug} {size}",
                parameters=7,
                dimension=8,
                heads=1,
                layers=1,
            )
            for size in ("7b", "13b")
        ]
    _publish(world.releases["llama"][0])
    for slug in ("waiting", "returned"):
        around.ask_for_witnesses(world.releases[slug][0])


def _publish(release: Release) -> None:
    """One file of a few bytes: what is in it does not matter to who may have it."""
    revision = Revision.objects.create(
        release=release, digest="c" * 40, layout=Revision.Layout.ORIGINAL, is_current=True
    )
    artifact = Artifact.objects.create(
        revision=revision, path="params.json", size=len(CONTENT), sha256=SHA256
    )
    path = get_store().local_path(artifact.store_key)
    assert path is not None, "the tests' store is a folder"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    release.status = Release.Status.PUBLISHED
    release.save(update_fields=["status"])


def _affiliate(world: World, owner: str) -> None:
    institution = world.plant(owner, "institution", {owner, *REVIEWERS})
    around.affiliate(world.people[owner], institution=institution)
    email = world.people[owner].email
    world.secrets.append(Secret(email, "e-mail address", frozenset({owner, *REVIEWERS})))
    world.secrets.append(Secret(world.people[owner].password, "password hash", frozenset()))


def _apply(world: World, owner: str) -> None:
    """Applications in every state, two grants, and a conversation about one of them."""
    start = _starter(world, owner)
    both = {owner, *REVIEWERS}
    draft = start("draft", readers={owner}, submit=False)
    waiting, returned, approved = [
        start(family, readers=both) for family in ("waiting", "returned", "llama")
    ]
    # Each of those who decide holds a claim on an application of bob's.
    holders = ("rita", "mona", "root") if owner == "bob" else ("sam",)
    claimed = [start(f"claimed-by-{holder}", readers=both) for holder in holders]
    reviewer = world.people["rita" if owner == "bob" else "sam"]
    for application in (returned, approved):
        services.claim(application.pk, actor=reviewer)
        application.reviews.update(
            note=world.plant(owner, "internal note", set(REVIEWERS) - {owner})
        )
    services.return_for_correction(
        returned.pk,
        seen=seen_now(returned.pk),
        actor=reviewer,
        message=world.plant(owner, "message", both),
    )
    reason = world.plant(owner, "decision", both)
    services.decide(
        approved.pk, seen=seen_now(approved.pk), actor=reviewer, approve=True, reason=reason
    )
    for application, holder in zip(claimed, holders, strict=True):
        services.claim(application.pk, actor=world.people[holder])
    around.talk(world, owner, claimed[0], world.people[holders[0]])
    around.second_look(world, owner, approved)
    # The published release first, whose grant stays open.
    grants = list(Grant.objects.filter(account=world.people[owner]).order_by("release_id"))
    services.suspend(
        grants[1].pk, actor=world.people["mona"], reason=world.plant(owner, "suspension", both)
    )
    world.things[owner] |= {
        "application": [a.pk for a in (draft, waiting, returned, approved, *claimed)],
        "grant": [grant.pk for grant in grants],
    }


def _starter(world: World, owner: str) -> Callable[..., Application]:
    account = world.people[owner]

    def start(family: str, *, readers: set[str], submit: bool = True) -> Application:
        answers = {
            "research_purpose": world.plant(owner, f"answer in {family}", readers),
            "intended_use": "Probing on our own cluster.",
            "sharing": "outputs",
        }
        made = services.start(actor=account, releases=world.releases[family], answers=answers)
        if family in ("draft", "waiting"):
            around.attach(world, owner, made, readers)
            around.invite(world, owner, made, readers)
        if family == "waiting":
            around.join(world, owner, made)
        if family in ("waiting", "returned"):
            around.name_witnesses(world, owner, made)
        if submit:
            services.submit(made.pk, actor=account, typed_name=account.name)
        made.refresh_from_db()
        if family == "waiting":
            around.vouch(world, owner, made)
        if family == "returned":
            around.wait_for_witnesses(world, owner, made)
        return made

    return start


def _use(world: World, owner: str) -> None:
    """A token, a link and its download, and a run that is over."""
    account, things = world.people[owner], world.things[owner]
    token, text = ApiToken.make(account, name="laptop", scopes=[str(scope) for scope in Scope])
    world.secrets += [
        Secret(text, "token", frozenset()),
        Secret(token.sha256, "digest of a token", frozenset()),
    ]
    artifact = Artifact.objects.get()
    grant = Grant.objects.get(pk=things["grant"][0])
    expires_at = timezone.now() + timedelta(hours=1)
    address = links.url(grant.pk, artifact, expires_at=expires_at).partition("/download/")[2]
    Download.objects.create(
        grant=grant, artifact=artifact, outcome="served", method="GET", request_id="walk"
    )
    alarm = Alarm.objects.create(grant=grant, kind=Alarm.Kind.BURST, found=7, limit=3)
    alarms.dismiss(
        alarm.pk, actor=world.people["mona"], note=world.plant(owner, "note", {"mona", "root"})
    )
    run = Run.objects.create(
        account=account,
        grant=grant,
        release=grant.release,
        revision=artifact.revision,
        prompt=world.plant(owner, "prompt", {owner}),
        output=world.plant(owner, "output", {owner}),
        status=Run.Status.FINISHED,
        finish_reason="stop",
        seed=1,
        finished_at=timezone.now(),
    )
    reported = _reported(world, owner, run)
    things |= {"report": [reported.pk]}
    things |= {"token": [token.pk], "link": [address.split("/", 1)], "run": [run.pk]}
    _think(world, owner, run)


def _think(world: World, owner: str, run: Run) -> None:
    """What the model thought of a run's tokens, and a sweep of two."""
    written = world.plant(owner, "token", {owner})
    record = [7, written, -0.5, 1.0, [[7, written, -0.5], [8, "else", -1.2]]]
    RunTokens.objects.create(run=run, prompt=[record], output=[record])
    job = Job.objects.create(account=run.account, kind=Job.Kind.SWEEP)
    for position in range(2):
        copy = Run.objects.get(pk=run.pk)
        copy.pk, copy._state.adding = uuid4(), True
        copy.job, copy.position, copy.temperature = job, position, float(position)
        copy.save()
    world.things[owner]["job"] = [job.pk]


def _reported(world: World, owner: str, like: Run) -> Report:
    """Another run of the owner, whose output they reported: managers read it, and nobody else."""
    seen_by = {owner, "mona", "root"}
    run = Run.objects.create(
        account=like.account,
        grant=like.grant,
        release=like.release,
        revision=like.revision,
        prompt=world.plant(owner, "reported prompt", seen_by),
        output=world.plant(owner, "reported output", seen_by),
        note=world.plant(owner, "note of a run", {owner}),
        status=Run.Status.FINISHED,
        finish_reason="stop",
        seed=1,
        finished_at=timezone.now(),
    )
    text = world.plant(owner, "text of a report", seen_by)
    return reports.report(run.pk, actor=like.account, kind="bias", text=text)


def _plant_in_mails(world: World, owner: str) -> None:
    """A mail may carry a link that speaks for its reader: nobody else reads it, on any page."""
    for mail in OutgoingMail.objects.filter(to=world.people[owner].email):
        mail.body += world.plant(owner, "mail", set())
        mail.save(update_fields=["body"])


def _second_factors(world: World) -> None:
    """What allauth keeps of each owner."""
    for owner in OWNERS:
        secret = world.plant(owner, "second factor", set())
        Authenticator.objects.create(
            user=world.people[owner], type=Authenticator.Type.TOTP, data={"secret": secret}
        )
        name = world.plant(owner, "name of a passkey", {owner, "root"})
        world.things[owner]["passkey"] = [give_passkey(world.people[owner], name).pk]
