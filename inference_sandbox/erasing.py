"""What this floor forgets of a person: every prompt and every answer, and what they reported."""

from inference_sandbox.emptying import empty
from inference_sandbox.models import Report, Run
from portal.accounts.models import Account


def erase(account: Account) -> None:
    """Inside the transaction of the erasure. When, under which grant and how long, is kept."""
    empty(Run.objects.filter(account=account))
    # A report that waits goes on waiting, as one of somebody: its run is still there.
    Report.objects.filter(reporter=account).update(text="")
    Report.objects.filter(run__account=account).update(text="", answer="")
