"""Licence texts: accepted by typing one's name, and followed by new versions."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby

from django.urls import reverse
from django.utils import timezone

from access_requests import selectors
from access_requests.models import Grant, LicenceAcceptance
from access_requests.services.acts import Denial, check_typed_name, recorded, required_text
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Licence, LicenceVersion
from portal.catalog.services import save_entry
from portal.mail.services import send
from portal.names import clean_name
from portal.refusals import Code, Refusal


def accept(
    version: LicenceVersion, *, actor: Account, typed_name: str, text_sha256: str | None
) -> LicenceAcceptance:
    """Write down that `actor` accepts `version`, inside the caller's transaction.

    `text_sha256`: the text that was on the person's screen; None where the caller showed none.
    Raises Refusal LICENCE_CHANGED when that is not the current text, INVALID when the name differs.
    """
    if text_sha256 is not None and text_sha256 != version.sha256:
        raise Refusal(
            Code.LICENCE_CHANGED,
            f"A new version of the licence ({version.licence.name}, version {version.number}) "
            "came out "
            "while you were reading.",
            "Read the new text and accept that one.",
            since=version.published_at,
        )
    if not actor.name.strip():
        raise Refusal(
            Code.INVALID,
            "Your account has no name to accept a licence with.",
            "Fill it in on your profile.",
            url=reverse("accounts:profile"),
        )
    check_typed_name(typed_name, actor)
    acceptance = LicenceAcceptance.objects.create(
        account=actor,
        licence_version=version,
        typed_name=clean_name(typed_name),
        text_sha256=version.sha256,
    )
    record(
        Verb.LICENCE_ACCEPTED,
        acceptance,
        actor=actor,
        licence=version.licence.slug,
        version=version.number,
        sha256=version.sha256,
    )
    return acceptance


def publish_version(
    licence_id: int,
    *,
    actor: Account,
    text: str,
    standing: LicenceVersion.Standing,
    reaccept_days: int = 30,
) -> LicenceVersion:
    """Put a new text into force now, and say what becomes of standing grants. Managers only.

    Every door asks the versions at each use, so it is so at once; the holders are told by mail.
    Raises Refusal: NOT_FOUND, INVALID (empty, or the same text as before; no days).
    """
    with _managed(licence_id, "publish_version", actor=actor) as licence:
        text = required_text(
            text.replace("\r\n", "\n"), field="text", why="A version needs its text."
        )
        newest = licence.versions.order_by("-number").first()
        if newest and newest.text.strip() == text:
            why = f"This is the text of version {newest.number}, word for word."
            raise Refusal(Code.INVALID, why, "Change it first.", fields={"text": [why]})
        if standing == LicenceVersion.Standing.REACCEPT and not 1 <= reaccept_days <= 365:
            why = "Give between 1 and 365 days."
            raise Refusal(Code.INVALID, why, "30 is usual.", fields={"reaccept_days": [why]})
        touched = list(selectors.grants_touched_by(licence).order_by("account_id", "pk"))
        version = LicenceVersion.objects.create(
            licence=licence,
            number=newest.number + 1 if newest else 1,
            text=text,
            standing_grants=standing,
            reaccept_days=reaccept_days,
            published_at=timezone.now(),
        )
        record(
            Verb.LICENCE_PUBLISHED,
            version,
            actor=actor,
            licence=licence.slug,
            version=version.number,
            sha256=version.sha256,
            standing=str(standing),
            reaccept_days=reaccept_days,
            grants=len(touched),
        )
        _tell_holders(version, touched)
    return version


def _tell_holders(version: LicenceVersion, grants: list[Grant]) -> None:
    """One mail a holder, however many grants they hold."""
    due = version.published_at + timedelta(days=version.reaccept_days)
    for _, group in groupby(grants, key=lambda grant: grant.account_id):
        held = list(group)
        send("licence_changed", to=held[0].account, version=version, grants=held, due=due)


def describe_licence(licence_id: int, *, actor: Account, name: str, summary: str) -> Licence:
    """Change the name and the summary, which bind nobody; the texts stay. Managers only."""
    with _managed(licence_id, "describe_licence", actor=actor) as licence:
        name = required_text(name, field="name", why="A licence needs a name.")
        wanted = {"name": name, "summary": summary.strip()}
        changed = [field for field, value in wanted.items() if getattr(licence, field) != value]
        for field in changed:
            setattr(licence, field, wanted[field])
        save_entry(licence, actor=actor, verb=Verb.LICENCE_DESCRIBED, changed=changed)
    return licence


@contextmanager
def _managed(licence_id: int, action: str, *, actor: Account) -> Iterator[Licence]:
    with recorded(Licence(pk=licence_id), action, actor=actor):
        licence = Licence.objects.select_for_update().filter(pk=licence_id).first()
        if licence is None or not roles.is_manager(actor):
            raise Denial(
                Code.NOT_FOUND,
                "There is no such licence, or none that you may change.",
                "Ask a manager of this site.",
            )
        yield licence
