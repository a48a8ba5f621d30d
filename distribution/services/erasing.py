"""What this floor forgets of a person: from where they downloaded and with what, and what was noted about it."""

from distribution.models import Alarm, Download, LinkTerms
from portal.accounts.models import Account


def erase(account: Account) -> None:
    """Inside the transaction of the erasure. What was served when, and how much, is kept."""
    Download.objects.filter(grant__account=account).update(network="", user_agent="", request_id="")
    LinkTerms.objects.filter(grant__account=account).update(network="")
    Alarm.objects.filter(grant__account=account).update(note="")
