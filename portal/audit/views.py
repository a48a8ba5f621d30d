"""What anybody may know of the audit log: the key that checks its seals, and the last seal."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.audit import keys, sealing


def seals(request: HttpRequest) -> HttpResponse:
    """Public, so that whoever holds a proof takes the key from here and not from who gave them the proof."""
    public = keys.public_key()
    context = {"public_key": public, "key_id": keys.key_id(public), "last": sealing.last_seal()}
    return render(request, "audit/seals.html", context)
