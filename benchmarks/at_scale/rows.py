"""A site after four years: people, applications in every state, and all that gathers around them."""

import heapq
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.db import transaction

from access_requests import services
from access_requests.models import (
    Application,
    CoApplicant,
    Grant,
    LicenceAcceptance,
    Message,
    Note,
    Renewal,
    Review,
)
from access_requests.names import name_key
from access_requests.questions import DEFAULT_QUESTIONS
from access_requests.regions import region_of
from access_requests.services.questions import make_form
from at_scale.bulk import insert, set_sequences, stamp
from at_scale.texts import RARE, Writer
from portal.accounts.models import Account, Affiliation
from portal.accounts.roles import Role
from portal.audit.models import Event, Seal, SealedEvent
from portal.catalog.models import Family, Licence, LicenceVersion, Release

DAY = 86400.0
YEARS = 4
REVIEWERS = 20
SEAL_BATCH = 2048
UNSEALED = 500  # the newest events, as between two runs of the sealer
OPEN_SHARE = {"submitted": 500, "in_review": 400, "returned": 250, "appealed": 40, "in_appeal": 30}
OPEN = sum(OPEN_SHARE.values())  # at most; with few applications a tenth of them
Happening = tuple[float, int, str, int | None, str, int, dict[str, Any]]


class World:
    """Makes the rows in the order in which the foreign keys need them."""

    def __init__(self, applications: int, events: int, seed: int) -> None:
        self.applications, self.events = applications, events
        self.random = random.Random(seed)
        self.writer = Writer(seed)
        self.now = datetime.now(UTC).timestamp()
        self.begin = self.now - YEARS * 365 * DAY
        self.heap: list[Happening] = []
        self.number = count()  # so that two events of one moment have an order
        self.done: dict[str, int] = {}

    def make(self) -> dict[str, int]:
        with transaction.atomic():
            self._staff_and_catalogue()
            self._people()
            self._applications()
            self._events()
            set_sequences([Account, Affiliation, LicenceAcceptance, Application, Event])
            set_sequences([Review, Message, Note, Grant, Renewal, CoApplicant])
            set_sequences([Application.releases.through])
        return self.done

    # ---- people and catalogue ------------------------------------------------------------------

    def _staff_and_catalogue(self) -> None:
        def staff(name: str, role: Role) -> int:
            account = Account.objects.create_user(f"{name}@desk.example", None, name=name.title())
            account.is_staff = True
            account.save(update_fields=["is_staff"])
            account.groups.add(Group.objects.get(name=role.value))
            # Outside the demo a role needs a second factor; one that nobody can type is enough here.
            Authenticator.objects.create(user=account, type=Authenticator.Type.TOTP, data={})
            return account.pk

        self.reviewers = [staff(f"reviewer {n}", Role.REVIEWER) for n in range(REVIEWERS)]
        self.manager, self.auditor = staff("manager", Role.MANAGER), staff("auditor", Role.AUDITOR)
        licence = Licence.objects.create(slug="research", name="Research licence")
        self.licence = LicenceVersion.objects.create(
            licence=licence, number=1, text="# Terms\n\nFor research.\n" * 200
        )
        self.families: list[tuple[int, int, list[int]]] = []
        for name in ("alpha", "beta", "gamma"):
            family = Family.objects.create(slug=name, name=name, publisher="lab", licence=licence)
            sizes = [self._release(family, size).pk for size in (7, 13, 33, 65)]
            self.families.append((family.pk, make_form(family, DEFAULT_QUESTIONS).pk, sizes))
        self.form = Application(form_id=self.families[0][1]).form

    def _release(self, family: Family, size: int) -> Release:
        return Release.objects.create(
            family=family,
            repo_id=f"lab/{family.slug}-{size}b",
            slug=f"{family.slug}-{size}b",
            name=f"{family.name} {size}B",
            status=Release.Status.PUBLISHED,
            parameters=size * 10**9,
            dimension=4096,
            heads=32,
            layers=32,
        )

    def _people(self) -> None:
        first = self.auditor + 1
        number = max(1, self.applications * 3 // 4)
        self.people = range(first, first + number)
        self.named = [self.writer.person(n + 1) for n in range(number)]
        self.spoken_for = [self.writer.affiliation() for _ in range(number)]
        day = stamp(self.begin)
        self.done["people"] = insert(
            Account,
            "id email name password is_active date_joined",
            (
                (pk, email, name, "!", True, day)
                for pk, (name, email) in zip(self.people, self.named, strict=True)
            ),
        )
        insert(
            Affiliation,
            "id account category institution country position web_page orcid",
            (
                (pk, pk, "academia", one["institution"], "NL", one["position"], "", one["orcid"])
                for pk, one in zip(self.people, self.spoken_for, strict=True)
            ),
        )

    # ---- applications and what gathers around them ---------------------------------------------

    def _applications(self) -> None:
        self.reviews: list[tuple] = []
        self.messages: list[tuple] = []
        self.notes: list[tuple] = []
        self.grants: list[tuple] = []
        self.holders: list[tuple[int, int, float, float]] = []
        self.asked: list[tuple[int, int]] = []
        self.accepted: list[tuple] = []
        self.renewals: list[tuple] = []
        self.members: list[tuple] = []
        self.evidence = json.dumps(_evidence(self.writer))  # all alike: nobody searches in it
        rows = list(self._application_rows())
        insert(
            LicenceAcceptance,
            "id account licence_version typed_name text_sha256 accepted_at",
            self.accepted,
        )
        self.done["applications"] = insert(
            Application,
            "id applicant family form state answers affiliation institution_key category "
            "search_text acceptance "
            "claimed_by claimed_at decided_by decided_at decision_reason created_at updated_at submitted_at "
            "appealed_at",
            rows,
        )
        insert(Application.releases.through, "application release", self.asked)
        review = "id application reviewer claimed_at outcome reason evidence closed_at category region days"
        self.done["reviews"] = insert(Review, review, self.reviews)
        message = "application author body is_return answers_before created_at"
        self.done["messages"] = insert(Message, message, self.messages)
        self.done["notes"] = insert(Note, "application author body created_at", self.notes)
        grant = "id account release application acceptance tier status starts_at ends_at created_at"
        self.done["grants"] = insert(Grant, grant, self.grants)
        renewal = "grant status used_for ends_at_before asked_at decided_at decided_by"
        self.done["renewals"] = insert(Renewal, renewal, self.renewals)
        member = (
            "application email account status nonce invited_at expires_at joined_at affiliation"
        )
        self.done["co-applicants"] = insert(CoApplicant, member, self.members)
        for kept in (self.reviews, self.messages, self.notes, self.grants, rows):
            kept.clear()

    def _application_rows(self) -> Iterator[tuple]:
        share = min(1.0, self.applications / 10 / OPEN)
        opened = [state for state, n in OPEN_SHARE.items() for _ in range(int(n * share))]
        drafts = self.applications // 80
        opened += ["draft"] * drafts
        self.random.shuffle(opened)
        decided = self.applications - len(opened)
        # Twice as many at the end of the four years as at their beginning.
        moments = sorted(
            self.begin + (self.now - 5 * DAY - self.begin) * self.random.random() ** 0.75
            for _ in range(decided)
        )
        moments += sorted(self.now - 25 * DAY * self.random.random() for _ in opened)
        states = self.random.choices(("approved", "refused", "withdrawn"), (72, 24, 4), k=decided)
        for pk, (at, state) in enumerate(zip(moments, [*states, *opened], strict=True), 1):
            yield self._application(pk, at, state)

    def _application(self, pk: int, at: float, state: str) -> tuple:
        # Walking through the people gives each at most one open application of a family.
        person = (pk * 7919) % len(self.people)
        account = self.people[person]
        family, form, releases = self.families[pk % 3]
        answers, affiliation = self.writer.answers(), self.spoken_for[person]
        if pk % max(1, self.applications // 7) == 5:
            answers["research_purpose"] += f" With {RARE} prints."
        reviewer = self.random.choice(self.reviewers)
        is_decided = state in ("approved", "refused")
        is_draft = state == "draft"
        took = min(self.random.lognormvariate(1.6, 0.8), 60) * DAY
        end = min(at + took, self.now - 60) if is_decided else None
        claimed = None if state in ("draft", "submitted", "appealed", "withdrawn") else reviewer
        chosen = self.random.sample(releases, self.random.choice((1, 1, 1, 2, 4)))
        self.asked += [(pk, release) for release in chosen]
        self._say("application.started", account, "application", pk, at - 3600)
        if not is_draft:
            sha = self.licence.sha256
            row = (pk, account, self.licence.pk, self.named[person][0], sha, stamp(at))
            self.accepted.append(row)
            self._say("licence.accepted", account, "licenceacceptance", pk, at)
            self._say("application.submitted", account, "application", pk, at, state="submitted")
            self._talk(pk, account, reviewer, at, answers)
        if claimed:
            self._claim(pk, reviewer, at, end, state, affiliation)
        if state == "approved" and end:
            self._grant(pk, account, chosen, end, reviewer)
        text = ""
        if not is_draft:
            text = _search_text(self.form, pk, account, self.named[person], affiliation, answers)
        appealed = stamp(at + DAY / 2) if state in ("appealed", "in_appeal") else None
        return (
            pk, account, family, form, state, answers, {} if is_draft else affiliation,
            "" if is_draft else name_key(affiliation["institution"]),
            "" if is_draft else affiliation["category"], text,
            None if is_draft else pk, claimed, stamp(at + took / 2) if claimed else None,
            reviewer if is_decided else None, stamp(end) if end else None,
            self.writer.text(20) if is_decided else "", stamp(at - 3600), stamp(end or at),
            None if is_draft else stamp(at), appealed,
        )  # fmt: skip

    def _talk(self, pk: int, account: int, reviewer: int, at: float, answers: dict) -> None:
        if self.random.random() < 0.25:
            body, when = self.writer.text(30), stamp(at + DAY)
            self.messages.append((pk, reviewer, body, True, answers, when))
            self._say("application.returned", reviewer, "application", pk, at + DAY)
            self._say("application.submitted", account, "application", pk, at + 2 * DAY, again=True)
        if self.random.random() < 0.2:
            self.messages.append((pk, account, self.writer.text(30), False, {}, stamp(at + DAY)))
            self._say("application.messaged", account, "application", pk, at + DAY)
        if self.random.random() < 0.2:
            self.notes.append((pk, reviewer, self.writer.text(25), stamp(at + DAY)))
        if self.random.random() < 0.05:
            person = self.random.randrange(len(self.people))
            state = "joined" if self.random.random() < 0.03 else "admitted"
            row = (pk, self.named[person][1], self.people[person], state, "")
            times = (stamp(at), stamp(at + 14 * DAY), stamp(at + DAY))
            self.members.append((*row, *times, self.spoken_for[person]))

    def _claim(
        self, pk: int, reviewer: int, at: float, end: float | None, state: str, of: dict[str, str]
    ) -> None:
        outcome = state if end else "returned" if state == "returned" else ""
        closed = stamp(end) if end else stamp(at + DAY) if outcome else None
        kept = json.loads(self.evidence) if end else []
        number = len(self.reviews) + 1
        group = (of["category"], region_of(of["country"])) if end else ("", "")
        row = (number, pk, reviewer, stamp(at), outcome, "", kept, closed)
        self.reviews.append((*row, *group, (end - at) / DAY if end else None))
        self._say("application.claimed", reviewer, "application", pk, (end or at + 600) - 300)
        if end:
            self._say(f"application.{state}", reviewer, "application", pk, end)

    def _grant(self, pk: int, account: int, releases: list[int], at: float, reviewer: int) -> None:
        for release in releases:
            number = len(self.grants) + 1
            end = at + 365 * DAY
            status = "revoked" if self.random.random() < 0.01 else "active"
            row = (number, account, release, pk, pk, "weights", status)
            self.grants.append((*row, stamp(at), stamp(end), stamp(at)))
            self.holders.append((number, account, at, end))
            until = datetime.fromtimestamp(end, UTC).isoformat()
            terms = {"application": pk, "acceptance": pk, "tier": "weights", "ends_at": until}
            self._say("grant.issued", reviewer, "grant", number, at, **terms)
            if status == "revoked":
                self._say("grant.revoked", reviewer, "grant", number, at + 90 * DAY)
            if end - 30 * DAY < self.now and self.random.random() < 0.1:
                waits = end > self.now
                row = (number, "open" if waits else "approved", self.writer.text(40), stamp(end))
                decided = None if waits else stamp(end - 20 * DAY)
                who = None if waits else reviewer
                self.renewals.append((*row, stamp(end - 25 * DAY), decided, who))

    # ---- the log -------------------------------------------------------------------------------

    def _say(
        self, verb: str, actor: int | None, model: str, pk: int, at: float, **data: Any
    ) -> None:
        subject = model if "." in model else f"access_requests.{model}"
        happening = (min(at, self.now), next(self.number), verb, actor, subject, pk, data)
        heapq.heappush(self.heap, happening)

    def _uses(self) -> None:
        """Fill up to the number asked for with what holders do: links, downloads, prompts."""
        verbs = ("download.started", "run.started", "run.finished", "link.issued")
        subjects = {"download": "distribution.download", "run": "inference_sandbox.run"}
        # A few use it a lot: a cluster that fetches every shard again for every job.
        weights = [self.random.paretovariate(1.2) for _ in self.holders]
        number = max(0, self.events - len(self.heap))
        for at, holder in enumerate(self.random.choices(self.holders, weights, k=number)):
            grant, account, begin, end = holder
            verb = self.random.choices(verbs, (50, 20, 20, 10))[0]
            subject = subjects.get(verb.partition(".")[0], "access_requests.grant")
            pk = grant if verb == "link.issued" else at + 1
            when = self.random.uniform(begin, min(end, self.now))
            self._say(
                verb, account, subject, pk, when, grant=grant, bytes=self.random.getrandbits(33)
            )

    def _events(self) -> None:
        self._uses()
        self.heap.sort()
        names = "id at verb actor subject_type subject_id data"
        rows = (
            (pk, stamp(at), verb, actor, subject, str(about), data)
            for pk, (at, _, verb, actor, subject, about, data) in enumerate(self.heap, 1)
        )
        self.done["events"] = insert(Event, names, rows)
        self._seals(len(self.heap))
        self.heap.clear()

    def _seals(self, events: int) -> None:
        """Rows as the sealer writes them, with leaves and signatures of zeros: lists read no more.
        benchmarks/audit_sealing.py makes real ones and verifies them.
        """
        sealed = max(0, events - UNSEALED)
        rows = ((e + 1, e // SEAL_BATCH + 1, e % SEAL_BATCH, bytes(32)) for e in range(sealed))
        insert(SealedEvent, "event seal position leaf", rows)
        first = range(1, sealed + 1, SEAL_BATCH)
        seals = (
            (
                number, at, min(at + SEAL_BATCH - 1, sealed), min(SEAL_BATCH, sealed - at + 1),
                stamp(self.heap[min(at + SEAL_BATCH - 1, sealed) - 1][0]), "0" * 64, "0" * 64,
                stamp(self.heap[at - 1][0]), "0" * 16, "0" * 128,
            )
            for number, at in enumerate(first, 1)
        )  # fmt: skip
        names = "number first_event last_event count newest_at root previous sealed_at key_id"
        self.done["seals"] = insert(Seal, f"{names} signature", seals)


def _evidence(writer: Writer) -> list[dict[str, str]]:
    """As long as what a review keeps of a dozen checks."""
    return [
        {
            "key": f"check_{number}",
            "label": "A check of this site",
            "source": "this site's own records and a list that the manager loaded",
            "result": "neutral",
            "finding": writer.text(12),
            "limits": writer.text(22),
            "at": "2026-01-01T00:00:00+00:00",
        }
        for number in range(12)
    ]


def _search_text(
    form: Any, pk: int, account: int, named: tuple[str, str], affiliation: dict, answers: dict
) -> str:
    """By the service that writes it at a submission."""
    person = Account(pk=account, name=named[0], email=named[1])
    made = Application(pk=pk, applicant=person, affiliation=affiliation, answers=answers)
    made.form = form
    return services.search_document(made)
