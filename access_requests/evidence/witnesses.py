"""What a signing official and a referee said, as evidence. For those who review, and nobody else."""

from collections.abc import Callable
from typing import Any

from access_requests.evidence import packaged
from access_requests.evidence.base import Check, check, host, mail_domain, same_organisation
from access_requests.models import Application, Waiver, Witness
from access_requests.selectors.witnesses import described_research, kinds_asked
from access_requests.workflow import THE_DESK, Role

Kind, Status = Witness.Kind, Witness.Status
KEYS = frozenset({"official", "referee"})
RESEARCH = {
    "yes": "Yes, it is real and theirs.",
    "partly": "In part.",
    "no": "No.",
    "unknown": "They cannot say.",
}
Found = tuple[str, str]  # result, finding


def checks(application: Application) -> list[Check]:
    """One check for each kind that the releases ask for, or that somebody was asked for."""
    asked = kinds_asked(application.releases.all())
    people = [one for one in application.witnesses.all() if one.status != Status.NAMED]
    waivers = {one.kind: one for one in application.waivers.all()}
    made = []
    for kind, make in ((Kind.OFFICIAL, _official), (Kind.REFEREE, _referee)):
        named = [one for one in people if one.kind == kind]
        if kind in asked or named:
            made.append(make(application, named, waivers.get(kind)))
    return made


def readable(found: list[dict[str, Any]], role: Role) -> list[dict[str, Any]]:
    """The checks that this person may read. Witnesses wrote for those who review the application:
    not for its applicant, nor for a reviewer who applies with them or is kept from it.
    """
    if role in (Role.APPLICANT, Role.STRANGER):
        return []
    if role in THE_DESK:
        return found
    return [one for one in found if one["key"] not in KEYS]


def _official(application: Application, named: list[Witness], waiver: Waiver | None) -> Check:
    result, finding = _said(application, named, waiver, _confirmed)
    return check(
        "official",
        "Signing official",
        "a mailed link, opened by whoever reads that mailbox",
        result,
        finding,
        "The applicant gave the name and the address. It shows that somebody at that mailbox "
        "agreed, not what authority they have there.",
    )


def _referee(application: Application, named: list[Witness], waiver: Waiver | None) -> Check:
    result, finding = _said(application, named, waiver, _referred)
    return check(
        "referee",
        "Referee",
        "a mailed link, opened by whoever reads that mailbox",
        result,
        finding,
        "The applicant chose the person and gave the address. It is one colleague's opinion, "
        "and does not show that they are who they say.",
    )


def _said(
    application: Application,
    named: list[Witness],
    waiver: Waiver | None,
    tell: Callable[[Application, Witness], Found],
) -> Found:
    last = named[-1] if named else None
    if last is None:
        result, lines = "neutral", ["Nobody was asked."]
    elif last.status in (Status.ANSWERED, Status.DECLINED):
        result, told = tell(application, last)
        lines = [told]
    else:
        at = last.asked_at or last.named_at
        how = "no answer yet" if last.status == Status.ASKED else last.get_status_display()
        result, lines = "neutral", [f"{_who(last)}, asked on {at:%-d %B %Y}: {how}."]
    lines += [f"Before: {_who(one)}: {one.get_status_display()}." for one in named[:-1]]
    if waiver:
        lines.append(
            f"{waiver.decided_by} goes without the answer, {waiver.decided_at:%-d %B %Y}: "
            f"{waiver.reason}"
        )
    return result, "\n".join(lines)


def _who(one: Witness) -> str:
    return f"{one.name} ({one.position}; {one.email})"


def _confirmed(application: Application, one: Witness) -> Found:
    said, fits, domains = one.statement, *_domains(application, one)
    verb = "confirmed" if said["confirms"] else "does not confirm"
    lines = [
        f"{_who(one)} {verb}, on {one.closed_at:%-d %B %Y}, that this is applied for: "
        f"{', '.join(said['releases'])}, under {said['licence']}."
    ]
    if said["typed_name"]:
        lines.append(f"Signed as “{said['typed_name']}”.")
    if said["comment"]:
        lines.append(f"Comment: {said['comment']}")
    good = said["confirms"] and fits
    return "supports" if good else "attention", "\n".join([*lines, domains])


def _domains(application: Application, one: Witness) -> tuple[bool, str]:
    """Whether the mailbox seems to be the institution's, and in words."""
    mail, page = mail_domain(one.email), host(application.affiliation.get("web_page", ""))
    if packaged.anyone_has(mail):
        return False, f"At {mail} anybody can have an address."
    if not page:
        return True, f"The mail is at {mail}; no web page is given to compare it with."
    if same_organisation(mail, page):
        return True, f"The mail's domain {mail} and the web page's {page} belong together."
    return False, f"The mail is at {mail}, the institution's web page at {page}."


def _referred(application: Application, one: Witness) -> Found:
    said = one.statement
    on = f"{one.closed_at:%-d %B %Y}"
    if one.status == Status.DECLINED:
        return "attention", f"{_who(one)} did not want to answer, on {on}."
    lines = [
        f"{_who(one)} answered on {on}.",
        f"How they know the applicant, and for how long: {said['relation']}",
        f"Is the research real and theirs: {RESEARCH[said['research']]} {said['research_more']}",
        f"A reason against access: {said['against_more'] if said['against'] else 'None known.'}",
    ]
    described = described_research(application)
    if said["description"] != (described[1] if described else ""):
        lines.append("The description of the research was changed since they read it.")
    good = said["research"] == "yes" and not said["against"]
    return "supports" if good else "attention", "\n".join(line.rstrip() for line in lines)
