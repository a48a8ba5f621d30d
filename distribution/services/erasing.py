"""What this floor forgets of a person: from where they downloaded, and with what."""

from distribution.models import Download
from portal.accounts.models import Account


def erase(account: Account) -> None:
    """Inside the transaction of the erasure. What was served when, and how much, is kept."""
    Download.objects.filter(grant__account=account).update(network="", user_agent="", request_id="")
