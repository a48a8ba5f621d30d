"""Nobody vouches for themself, joins themself, or walks round a block under another spelling of an address."""

from django.test import Client

from access_requests import selectors, services
from access_requests.models import Application, Block, CoApplicant, Witness
from portal.accounts.models import Account
from portal.catalog.models import Family
from portal.refusals import Code
from tests.access_requests.people import applicant, denials
from tests.access_requests.test_coapplicants import joined, token_of
from tests.access_requests.test_submit import refusal_of
from tests.access_requests.vouching import (
    OFFICIAL,
    REFEREE,
    REFERENCE,
    name,
    refer,
    submit,
    token_to,
)
from tests.people import person, signed_in


def also_at(account: Account, email: str, *, verified: bool = True) -> None:
    account.emailaddress_set.create(email=email, verified=verified)  # type: ignore[attr-defined]


# ---- Vouching ------------------------------------------------------------------------------------


def test_nobody_names_themself_in_another_spelling(asking: Application, alice: Account) -> None:
    also_at(alice, "alice@bücher.example")
    for spelling in ("Alice@xn--bcher-kva.example", "alice+ref@BÜCHER.example", "alice@lab。test"):
        refusal = refusal_of(name, asking, "referee", email=spelling)
        assert "email" in refusal.fields
    assert name(asking, "referee", email="Ralf@Bücher.example").email == (
        "ralf@xn--bcher-kva.example"
    )


def test_who_applies_does_not_answer_the_link_of_their_own_referee(
    waiting: Application, alice: Account, rita: Account, client: Client
) -> None:
    bob = applicant("bob")
    joined(waiting, bob)
    for kind in (OFFICIAL, REFEREE):
        address = f"/applications/vouch/{token_to(kind['email'])}/"
        for part in (alice, bob):
            browser = signed_in(part)
            assert browser.get(address).status_code == 403
            assert browser.post(address, {"decline": "1", "read": "x"}).status_code == 403
        assert client.get(address).status_code == 200
        assert signed_in(rita).get(address).status_code == 200, "a referee may have an account"
    token = token_to(REFEREE["email"])
    read = services.reading_behind(token).digest
    refusal = refusal_of(services.give_reference, token, read=read, actor=alice, **REFERENCE)
    assert refusal.code == Code.NOT_ALLOWED
    assert denials(Witness.objects.get(kind="referee"))
    refer(token)


def test_an_address_that_became_the_applicants_vouches_for_nobody(
    waiting: Application, alice: Account
) -> None:
    token = token_to(REFEREE["email"])
    also_at(alice, REFEREE["email"].upper())
    refusal = refusal_of(services.reading_behind, token)
    assert refusal.code == Code.NOT_ALLOWED, "also when nobody is signed in"
    assert refusal_of(services.give_reference, token, read="", **REFERENCE).code == Code.NOT_ALLOWED


def test_a_reference_counts_no_more_once_its_address_is_one_of_the_applicants(
    claimed: Application, alice: Account, rita: Account
) -> None:
    refer(token_to(REFEREE["email"]))
    assert [kind.value for kind in selectors.kinds_missing(claimed)] == ["official"]
    also_at(alice, REFEREE["email"])
    assert [kind.value for kind in selectors.kinds_missing(claimed)] == ["official", "referee"]


def test_a_reviewer_who_vouched_under_another_spelling_is_not_offered_as_a_colleague(
    asking: Application, rita: Account, second_reviewer: Account
) -> None:
    also_at(second_reviewer, "sam@bücher.example")
    name(asking, "official")
    name(asking, "referee", email="sam+ref@xn--bcher-kva.example")
    submit(asking)
    assert second_reviewer in selectors.colleagues(asking)
    refer(token_to("sam+ref@xn--bcher-kva.example"))
    assert second_reviewer not in selectors.colleagues(asking)
    assert selectors.why_barred(second_reviewer, asking)
    assert rita in selectors.colleagues(asking)


# ---- Co-applicants -------------------------------------------------------------------------------


def test_an_invitation_is_for_a_mailbox_however_it_is_spelled(
    draft: Application, alice: Account
) -> None:
    bob = applicant("bob")
    also_at(bob, "bob@bücher.example")
    member = services.invite(draft.pk, actor=alice, email="BOB@bücher.example")
    assert member.email == "bob@xn--bcher-kva.example"
    again = refusal_of(services.invite, draft.pk, actor=alice, email="bob@xn--BCHER-kva.example")
    assert "email" in again.fields
    also_at(alice, "a@bücher.example")
    own = refusal_of(services.invite, draft.pk, actor=alice, email="A@xn--bcher-kva.example")
    assert "your own address" in own.fields["email"][0]
    token = token_of(member.email)
    assert refusal_of(services.join, token, actor=alice, typed_name=alice.name).code == (
        Code.NOT_ALLOWED
    )
    services.join(token, actor=bob, typed_name=bob.name)
    assert CoApplicant.objects.get().account == bob


def test_the_applicant_does_not_take_a_place_that_they_invited_to(
    draft: Application, alice: Account
) -> None:
    services.invite(draft.pk, actor=alice, email="second@lab.test")
    also_at(alice, "second@lab.test")
    refusal = refusal_of(
        services.join, token_of("second@lab.test"), actor=alice, typed_name=alice.name
    )
    assert refusal.code == Code.WRONG_STATE


# ---- The block list ------------------------------------------------------------------------------


def test_a_block_names_a_domain_in_either_form(family: Family, manager: Account) -> None:
    form = {"family": family.pk, "domain": "Bücher.example.", "reason": "Sanctions."}
    answer = signed_in(manager).post("/admin/access_requests/block/add/", form)
    assert answer.status_code == 302, answer.text[:500]
    assert Block.objects.get().domain == "xn--bcher-kva.example"
    for address in ("a@bücher.example", "b@ki.xn--bcher-kva.example"):
        member = person(address[0])
        assert selectors.running_block(member, family) is None
        also_at(member, address)
        assert selectors.running_block(member, family) == Block.objects.get()


def test_a_person_is_blocked_by_any_of_their_addresses(family: Family, manager: Account) -> None:
    bob = person("bob")
    also_at(bob, "bob@bücher.example")
    form = {"family": family.pk, "person": "BOB@xn--bcher-kva.example", "reason": "Leaked."}
    answer = signed_in(manager).post("/admin/access_requests/block/add/", form)
    assert answer.status_code == 302, answer.text[:500]
    assert Block.objects.get().account == bob


def test_an_address_that_is_not_confirmed_takes_no_place(
    draft: Application, alice: Account
) -> None:
    bob = applicant("bob")
    bob.emailaddress_set.update(verified=False)  # type: ignore[attr-defined]
    services.invite(draft.pk, actor=alice, email=bob.email)
    refusal = refusal_of(services.join, token_of(bob.email), actor=bob, typed_name=bob.name)
    assert refusal.code == Code.NOT_ALLOWED
