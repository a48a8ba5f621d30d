"""The ONE next step of the person who looks at a release."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse

from access_requests.models import Application, Grant, State, Tier
from access_requests.selectors.applications import open_application
from access_requests.selectors.doors import grant_for
from portal.accounts.models import Account, Affiliation
from portal.catalog.models import Release
from portal.refusals import Code, Refusal


@dataclass(frozen=True)
class NextStep:
    """`code` for programs, `label` for the button, `explanation` beside it; no button when `url`
    is empty.
    """

    code: str
    label: str
    explanation: str
    url: str = ""


def next_step(
    account: Account | AnonymousUser, release: Release, *, sandbox_note: str = ""
) -> NextStep:
    """What this person does next to use this release. sandbox_note: why the sandbox cannot run it."""
    try:
        return _with_grant(grant_for(account, release), release, sandbox_note)
    except Refusal as refusal:
        return _without_grant(account, release, refusal)


def _with_grant(grant: Grant, release: Release, sandbox_note: str) -> NextStep:
    if not release.is_published:
        return NextStep(
            "wait",
            "",
            f"You hold a grant for {release.name} until {grant.ends_at:%-d %B %Y}. Its weights "
            "are not "
            "published here yet; the files appear on this page when they are.",
        )
    if grant.tier == Tier.TRY and sandbox_note:
        return NextStep(
            "wait",
            "",
            f"Your grant covers the sandbox until {grant.ends_at:%-d %B %Y}. {sandbox_note}",
        )
    if grant.tier == Tier.TRY:
        return NextStep(
            "try",
            "Try it in the sandbox",
            f"Your grant covers the sandbox until {grant.ends_at:%-d %B %Y}.",
            _with_query(reverse("inference_sandbox:playground"), release=release.slug),
        )
    return NextStep(
        "download",
        "Download the files",
        f"You hold a grant until {grant.ends_at:%-d %B %Y}: download the weights"
        f"{'' if sandbox_note else ', or try them in the sandbox'}.",
        reverse("distribution:files", args=[release.slug]),
    )


def _without_grant(
    account: Account | AnonymousUser, release: Release, refusal: Refusal
) -> NextStep:
    if release.status == Release.Status.WITHDRAWN:
        return NextStep(
            "withdrawn", "See other releases", refusal.detail, reverse("catalog:releases")
        )
    if not isinstance(account, Account):
        return NextStep(
            "sign_in",
            "Sign in",
            "Access is given to people, case by case. Sign in, or sign up with your e-mail "
            "address, to apply.",
            _with_query(reverse("account_login"), next=release.get_absolute_url()),
        )
    if refusal.code == Code.LICENCE_CHANGED:
        return NextStep("accept_licence", "Read the new licence", refusal.detail, refusal.url)
    if application := open_application(account, release.family):
        return _with_application(application, release)
    if refusal.code == Code.SUSPENDED:
        return NextStep(
            "suspended", "See your grants", f"{refusal.detail} {refusal.way_out}", refusal.url
        )
    return _apply(account, release, refusal)


def _with_application(application: Application, release: Release) -> NextStep:
    edit = reverse("access_requests:edit", args=[application.pk])
    if application.state == State.DRAFT:
        return NextStep(
            "continue",
            "Go on with your draft",
            "Your application is a draft; nobody but you has seen it. Finish it and submit.",
            edit,
        )
    if application.state == State.RETURNED:
        return NextStep(
            "correct",
            "Correct your application",
            "The reviewer asked you to mend something before deciding. Your place is kept.",
            edit,
        )
    return NextStep(
        "see_application",
        "See your application",
        f"Your application {application.reference} is with the reviewers. You are told by mail "
        "at each step.",
        application.get_absolute_url(),
    )


def _apply(account: Account, release: Release, refusal: Refusal) -> NextStep:
    apply = _with_query(
        reverse("access_requests:apply", args=[release.family.slug]), release=release.slug
    )
    if not Affiliation.objects.filter(account=account).exists():
        return NextStep(
            "affiliation",
            "Say who you are",
            "Before you apply, fill in your affiliation; reviewers read it first.",
            _with_query(reverse("accounts:profile"), next=apply),
        )
    if refusal.code in (Code.EXPIRED, Code.REVOKED):
        return NextStep("apply_again", "Apply again", refusal.detail, apply)
    last = account.applications.filter(releases=release, state=State.REFUSED).first()
    if last:
        return NextStep(
            "apply_again",
            "See the decision",
            "Your last application was refused. The reason says what a new one would need.",
            last.get_absolute_url(),
        )
    return NextStep(
        "apply",
        "Apply",
        "Say what you want to find out, read the licence and accept it. A person decides, case "
        "by case.",
        apply,
    )


def _with_query(url: str, **values: str) -> str:
    return f"{url}?{urlencode(values, safe='/')}"
