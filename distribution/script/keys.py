"""The key in a script that was made for one grant.

It is signed like a link and holds the grant and an end. It opens nothing but the script's own endpoint,
for the grant's own release, and the grant is asked again at each use.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core import signing
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from access_requests.models import Grant
from distribution import selectors
from portal import throttling
from portal.accounts.models import Account
from portal.refusals import Code, Refusal

SALT = "distribution.script"
PREFIX = "wbs_"
LINK_LIVES = 7  # how many times as long as a link a key lives: a week, where links live a day


@dataclass(frozen=True)
class ScriptKey:
    """What a genuine key says, and the grant as it is now."""

    grant: Grant
    expires_at: datetime


def until(grant: Grant) -> datetime:
    """When a key that is made now will end; never after the grant."""
    wanted = timezone.now() + timedelta(hours=LINK_LIVES * grant.release.link_hours)
    return min(wanted, grant.ends_at).replace(microsecond=0)


def make(grant: Grant) -> str:
    """A key to the grant."""
    numbers = (grant.pk, int(until(grant).timestamp()))
    return PREFIX + _signer().sign(".".join(map(signing.b62_encode, numbers)))


def read(text: str) -> ScriptKey:
    """Raises AuthenticationFailed for what is no key of ours, and the Refusal EXPIRED."""
    try:
        parts = _signer().unsign(text.removeprefix(PREFIX)).split(".")
        grant_id, seconds = map(signing.b62_decode, parts)
        expires_at = datetime.fromtimestamp(seconds, UTC)
    except (signing.BadSignature, ValueError, OverflowError):
        raise exceptions.AuthenticationFailed("The key in this script was altered or cut short.")
    grant = Grant.objects.select_related("account", "release").filter(pk=grant_id).first()
    if grant is None:
        raise exceptions.AuthenticationFailed("The grant of this script's key is gone.")
    if timezone.now() >= expires_at:
        files_url = selectors.files_url(grant.release)
        raise Refusal(
            Code.EXPIRED,
            "The key in this script has expired.",
            f"Fetch the script again at {settings.BASE_URL}{files_url}; what you downloaded so far "
            f"stays good.",
            since=expires_at,
            url=files_url,
        )
    return ScriptKey(grant, expires_at)


class ScriptKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer wbs_…`, for the views that name it. `request.auth` is the ScriptKey."""

    def authenticate(self, request: Request) -> tuple[Account, ScriptKey] | None:
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not text.startswith(PREFIX):
            return None
        try:
            key = read(text)
        except exceptions.AuthenticationFailed:
            throttling.check_wrong_token(request)
            raise
        return key.grant.account, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _signer() -> signing.Signer:
    return signing.Signer(sep=".", salt=SALT, algorithm="sha256")
