"""What lies around the applications of the walk's world: files, talk, notes, the lab, renewals."""

import io
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from access_requests import mailed_links, services
from access_requests.models import (
    Application,
    DecisionPolicy,
    ReasonTemplate,
    ReviewTarget,
    SecondLook,
)
from access_requests.questions import DEFAULT_QUESTIONS
from distribution.services import network_lists
from portal.accounts.models import Account, Affiliation
from portal.catalog.models import Family, Release
from portal.webhooks import signing
from portal.webhooks.models import Subscription
from tests.access_requests.people import seen_now
from tests.walker.marks import REVIEWERS, Secret, World

PAPER: dict[str, Any] = {"key": "paper", "label": "A paper of yours", "type": "attachment"}
QUESTIONS: list[Any] = [*DEFAULT_QUESTIONS, PAPER]
PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n"


def affiliate(account: Account, *, institution: str) -> None:
    Affiliation.objects.create(
        account=account,
        category="academia",
        institution=institution,
        country="NL",
        position="Postdoc",
    )


def attach(world: World, owner: str, application: Application, readers: set[str]) -> None:
    """A file whose name is the secret."""
    name = world.plant(owner, "attached file", readers)
    file = SimpleUploadedFile(f"{name}.pdf", PDF, content_type="application/pdf")
    made = services.attach(application.pk, "paper", file, actor=world.people[owner])
    world.things[owner].setdefault("attachment", []).append(made.public_id)


def talk(world: World, owner: str, application: Application, reviewer: Account) -> None:
    """Both sides write, and the reviewers among themselves. `reviewer` holds the claim."""
    desk = set(REVIEWERS) - {owner}
    both = {owner, *REVIEWERS}
    account, pk = world.people[owner], application.pk
    services.write(pk, actor=account, body=world.plant(owner, "applicant's message", both))
    services.write(pk, actor=reviewer, body=world.plant(owner, "reviewer's message", both))
    services.note(pk, actor=reviewer, body=world.plant(owner, "internal note of a reviewer", desk))
    others = (world.people[name] for name in ("rita", "mona", "sam"))
    colleague = next(person for person in others if person not in (reviewer, account))
    services.ask(
        pk,
        actor=reviewer,
        reviewer=colleague,
        question=world.plant(owner, "question to a colleague", desk),
    )
    answer = world.plant(owner, "colleague's advice", desk)
    services.advise(pk, seen=seen_now(pk), actor=colleague, advice="approve", answer=answer)


def invite(world: World, owner: str, application: Application, readers: set[str]) -> None:
    """Somebody of the lab, who has not joined yet: the address is a secret, the link a greater one."""
    # Managers see in the list of outgoing mail where one went.
    email = f"{world.plant(owner, 'invited address', {*readers, 'mona', 'root'})}@example.org"
    member = services.invite(application.pk, actor=world.people[owner], email=email)
    token = mailed_links.url("join", member.pk, member.nonce).rstrip("/").rpartition("/")[2]
    world.things[owner].setdefault("place", []).insert(0, member.pk)
    world.things[owner].setdefault("invitation", []).append(token)


def join(world: World, owner: str, application: Application) -> None:
    """Carol of the lab, who joined."""
    carol = world.people["carol"]
    member = services.invite(application.pk, actor=world.people[owner], email=carol.email)
    token = mailed_links.url("join", member.pk, member.nonce).rstrip("/").rpartition("/")[2]
    services.join(token, actor=carol, typed_name=carol.name)
    world.things[owner]["place"].append(member.pk)


def name_witnesses(world: World, owner: str, application: Application) -> None:
    """An official and a referee for a draft; their addresses are secrets."""
    for kind in ("official", "referee"):
        email = f"{world.plant(owner, f'address of the {kind}', {owner, *REVIEWERS})}@example.org"
        given = {"name": f"The {kind}", "email": email, "position": "Professor"}
        services.name_witness(application.pk, kind, actor=world.people[owner], **given)


def vouch(world: World, owner: str, application: Application) -> None:
    """Both answer, and what they say is for those who review. Their links are used with it: one
    that is open shows who applies to whoever holds it, for that is its use.
    """
    desk = set(REVIEWERS) - {owner}
    for witness in application.witnesses.all():
        token = mailed_links.url("vouch", witness.pk, witness.nonce).rstrip("/").rpartition("/")[2]
        said: dict[str, Any] = {"read": services.reading_behind(token).digest}
        if witness.kind == "official":
            comment = world.plant(owner, "the official's comment", desk)
            services.confirm(token, confirms=True, typed_name="O", comment=comment, **said)
        else:
            relation = world.plant(owner, "the referee's answer", desk)
            services.give_reference(token, relation=relation, research="yes", against=False, **said)
        world.things[owner].setdefault("mailed question", []).append(token)


def wait_for_witnesses(world: World, owner: str, application: Application) -> None:
    """Asked, and so long ago that the mail may be sent again."""
    asked = application.witnesses.all()
    asked.update(asked_at=timezone.now() - timedelta(days=1))
    world.things[owner]["witness"] = list(asked.values_list("pk", flat=True))


def second_look(world: World, owner: str, application: Application) -> None:
    """At the approval, by somebody who had nothing to do with it; managers read why."""
    review = application.reviews.get(outcome="approved")
    name = (
        "sam" if review.reviewer == world.people["rita"] else "rita" if owner != "rita" else "mona"
    )
    SecondLook.objects.create(
        review=review,
        application=application,
        reviewer=world.people[name],
        seen={
            "answers": application.answers,
            "affiliation": application.affiliation,
            "releases": [],
        },
        outcome=SecondLook.Outcome.APPROVE,
        reason=world.plant(owner, "reason of a second look", {name, "mona", "root"} - {owner}),
        answered_at=timezone.now(),
    )


def keep(world: World, owner: str) -> None:
    """A renewal that waits, and the agreement behind the grants."""
    account, things = world.people[owner], world.things[owner]
    services.ask_renewal(
        things["grant"][0],
        actor=account,
        used_for=world.plant(owner, "report of use", {owner, *REVIEWERS}),
    )
    things["agreement"] = list(account.acceptances.values_list("pk", flat=True)[:1])


def ask_for_witnesses(release: Release) -> None:
    DecisionPolicy.objects.create(release=release, asks_official=True, asks_referee=True)


def policies(world: World) -> None:
    """One of each thing that managers set up for a family."""
    family = Family.objects.get(slug="llama")
    DecisionPolicy.objects.create(release=family.releases.first())
    ReviewTarget.objects.create(family=family, days=5)
    ReasonTemplate.objects.create(family=family, title="Scope", text="Outside the licence.")
    services.block(
        actor=world.people["mona"], family=family, account=world.people["bob"], reason="Spam."
    )
    evidence(world, family)
    networks = io.BytesIO(b"198.51.100.0/24,NL\n")
    network_lists.load(networks, actor=world.people["mona"], file_name="networks.csv")


def webhook(world: World) -> None:
    """One whose address leads nowhere: made past the service, which would refuse it, as sending does."""
    managers = ("mona", "root")
    secret = signing.new_secret()
    world.secrets.append(Secret(secret, "secret of a webhook", frozenset()))
    made = Subscription.objects.create(
        name=world.plant("mona", "name of a webhook", managers),
        url=f"https://127.0.0.1/{world.plant('mona', 'address of a webhook', managers)}",
        secret=signing.boxed(secret),
        taken_seal=0,
        queued=1,
        delivered=1,
    )
    world.secrets.append(Secret(made.secret, "boxed secret of a webhook", frozenset()))
    made.attempts.create(
        sequence=1,
        verb="grant.issued",
        took_ms=7,
        status=200,
        answer=world.plant("mona", "answer of a receiver", managers),
    )


def evidence(world: World, family: Family) -> None:
    """A list of each kind, and a rule. Reviewers read a rule's name where it decided."""
    mona = world.people["mona"]
    listed = io.BytesIO(b"kind,name\ncountry,KP\n")
    services.load_list("listed", listed, actor=mona, file_name="listed.csv")
    services.write_rule(
        None,
        actor=mona,
        family=family,
        releases=[],
        name=world.plant("mona", "rule", set(REVIEWERS)),
        conditions=["research_domain"],
        grant_days=30,
        is_active=False,
    )
