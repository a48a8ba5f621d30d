"""The block list of a family."""

from datetime import datetime

from django.db import transaction

from access_requests.models import Block
from access_requests.services.acts import required_text
from portal.accounts import roles
from portal.accounts.addresses import normalise_domain
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Family
from portal.refusals import Code, Refusal


def lock_block_list(family_id: int) -> None:
    """No block is written while access is given, until the caller's transaction ends: so none is given after it."""
    Family.objects.select_for_update(no_key=True).get(pk=family_id)


@transaction.atomic
def block(
    *,
    actor: Account,
    family: Family,
    reason: str,
    account: Account | None = None,
    domain: str = "",
    ends_at: datetime | None = None,
) -> Block:
    """Shut a person or a mail domain out of a family's applications; for managers."""
    _managers_only(actor)
    reason = required_text(reason, field="reason", why="A block needs a reason.")
    if (account is None) == (not domain):
        text = "Name either a person or a mail domain."
        raise Refusal(Code.INVALID, text, "Fill in one of the two.", fields={"domain": [text]})
    lock_block_list(family.pk)
    made = Block.objects.create(
        family=family,
        account=account,
        domain=normalise_domain(domain),
        reason=reason,
        ends_at=ends_at,
        created_by=actor,
    )
    record(Verb.BLOCK_CHANGED, made, actor=actor, family=family.slug, account=made.account_id)
    return made


@transaction.atomic
def change_block(block_id: int, *, actor: Account, reason: str, ends_at: datetime | None) -> Block:
    """Another reason or another end; an end that has passed lifts it."""
    _managers_only(actor)
    found = Block.objects.select_for_update().get(pk=block_id)
    found.reason = required_text(reason, field="reason", why="A block needs a reason.")
    found.ends_at = ends_at
    found.save(update_fields=["reason", "ends_at"])
    record(Verb.BLOCK_CHANGED, found, actor=actor, ends_at=ends_at.isoformat() if ends_at else None)
    return found


def _managers_only(actor: Account) -> None:
    if not roles.is_manager(actor):
        raise Refusal(
            Code.NOT_ALLOWED, "Managers keep the block list.", "Ask a manager of this site."
        )
