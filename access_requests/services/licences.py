"""Accepting a licence text by typing one's name."""

from django.urls import reverse

from access_requests.models import LicenceAcceptance
from access_requests.names import same_name
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import LicenceVersion
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
    if not same_name(typed_name, actor.name):
        text = f"Type your name as it stands on your account: {actor.name}."
        raise Refusal(
            Code.INVALID,
            text,
            "Or correct your name on your profile first.",
            fields={"typed_name": [text]},
        )
    acceptance = LicenceAcceptance.objects.create(
        account=actor,
        licence_version=version,
        typed_name=" ".join(typed_name.split()),
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
