"""The demo's mailbox: every mail that the site sent, on one page, for there is no real postman here."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.mail.models import OutgoingMail


def mail(request: HttpRequest) -> HttpResponse:
    """Only routed where WEIGHBRIDGE_DEMO is set, with invented people."""
    mails = OutgoingMail.objects.all()
    if address := request.GET.get("to", ""):
        mails = mails.filter(to=address)
    addresses = OutgoingMail.objects.order_by("to").values_list("to", flat=True).distinct()
    return render(
        request, "demo/mail.html", {"mails": mails[:60], "addresses": addresses, "address": address}
    )
