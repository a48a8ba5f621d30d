"""Evidence advises: each check says what it found, where, when, and what it does not prove."""

from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.utils import timezone

from access_requests import evidence, services
from access_requests.models import Application, Grant, OrcidRecord
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.access_requests.people import ANSWERS, applicant, seen_now


def found(application: Application, key: str) -> evidence.Check:
    return next(check for check in evidence.gather(application) if check.key == key)


def keys(application: Application) -> set[str]:
    return {check.key for check in evidence.gather(application)}


def applied(account: Account, release: Release) -> Application:
    application = services.start(actor=account, releases=[release], answers=ANSWERS)
    return services.submit(application.pk, actor=account, typed_name=account.name)


def test_every_check_names_source_time_finding_and_limits(submitted: Application) -> None:
    checks = evidence.gather(submitted)
    assert len({check.key for check in checks}) == len(checks) >= 6
    for check in checks:
        assert all((check.label, check.source, check.finding, check.limits, check.at))
        assert check.result in ("supports", "attention", "neutral")


@pytest.mark.parametrize(
    ("orcid", "result"),
    [("", "neutral"), ("0000-0002-1825-0097", "supports"), ("0000-0002-1825-0098", "attention")],
)
def test_the_checksum_of_an_orcid_is_checked(release: Release, orcid: str, result: str) -> None:
    assert found(applied(applicant("bob", orcid=orcid), release), "orcid").result == result


@pytest.mark.parametrize(
    ("page", "result"),
    [
        ("", "neutral"),
        ("https://www.lab.test/bob", "supports"),
        ("https://uni.example/bob", "attention"),
    ],
)
def test_the_mail_is_compared_with_the_web_page(release: Release, page: str, result: str) -> None:
    assert found(applied(applicant("bob", web_page=page), release), "domain").result == result


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("cs.uni.edu", "www.uni.edu", True),
        ("uni.edu", "notuni.edu", False),
        ("cam.ac.uk", "cl.cam.ac.uk", True),
        ("cam.ac.uk", "ox.ac.uk", False),
        ("a.com.au", "b.com.au", False),
        ("inria.fr", "paris.inria.fr", True),
        ("edu", "edu", False),
    ],
)
def test_hosts_of_one_organisation_are_told_from_hosts_under_a_shared_name(
    one: str, other: str, same: bool
) -> None:
    assert evidence.same_organisation(one, other) is same


@pytest.mark.parametrize(
    ("address", "category", "key", "result"),
    [
        ("bob@gmail.com", "academia", "category", "attention"),
        ("bob@gmail.com", "independent", "category", "neutral"),
        ("bob@uni.example", "academia", "category", "neutral"),
        ("bob@mailinator.com", "academia", "disposable", "attention"),
        ("bob@uni.example", "academia", "disposable", "neutral"),
    ],
)
def test_the_kind_of_address_is_held_against_the_category(
    release: Release, address: str, category: str, key: str, result: str
) -> None:
    bob = applicant("bob", category=category)
    Account.objects.filter(pk=bob.pk).update(email=address)
    bob.refresh_from_db()
    assert found(applied(bob, release), key).result == result


def test_earlier_applications_and_grants_of_the_person_are_counted(
    grant: Grant, alice: Account, manager: Account, release: Release
) -> None:
    services.revoke(grant.pk, actor=manager, reason="Shared.")
    check = found(applied(alice, release), "history")
    assert check.result == "attention"
    assert "1 earlier" in check.finding
    assert "1 of them revoked" in check.finding


def test_a_first_application_says_so(submitted: Application) -> None:
    assert "first application" in found(submitted, "history").finding


def test_others_of_the_institution_are_counted_and_not_named(
    submitted: Application, release: Release
) -> None:
    other = applied(applicant("bob", institution="university of testing"), release)
    check = found(other, "institution")
    assert "1 application of others" in check.finding
    assert "Alice" not in check.finding
    elsewhere = applied(applicant("carol", institution="Elsewhere"), release)
    assert "Nobody else" in found(elsewhere, "institution").finding


def test_the_evidence_on_screen_is_kept_with_the_decision(approved: Application) -> None:
    kept = approved.reviews.get().evidence
    assert [check["key"] for check in kept] == [check.key for check in evidence.gather(approved)]


def test_only_an_approval_supports_not_what_was_withdrawn_or_waits(
    alice: Account, rita: Account, release: Release
) -> None:
    first = applied(alice, release)
    services.withdraw(first.pk, actor=alice)
    second = applied(alice, release)
    assert found(second, "history").result == "neutral"
    services.claim(second.pk, actor=rita)
    services.decide(second.pk, seen=seen_now(second.pk), actor=rita, approve=True)
    assert found(applied(alice, release), "history").result == "supports"


@pytest.mark.parametrize(
    ("address", "page"),
    [("bob@gmail.com", "https://gmail.com/"), ("bob@mailinator.com", "https://mailinator.com/")],
)
def test_an_address_that_anyone_can_have_supports_nothing_whatever_the_page(
    release: Release, address: str, page: str
) -> None:
    bob = applicant("bob", category="independent", web_page=page)
    Account.objects.filter(pk=bob.pk).update(email=address)
    bob.refresh_from_db()
    results = {check.key: check.result for check in evidence.gather(applied(bob, release))}
    assert "supports" not in results.values()
    carol = applicant("carol", web_page="https://lab.test/")
    assert found(applied(carol, release), "domain").result == "supports"


@pytest.mark.parametrize(
    ("one", "other", "same", "part"),
    [
        ("Wei Zhang", "Zhang, Wei", True, False),
        ("José Núñez", "Jose Nunez", True, False),
        ("Alice Example", "Alice B. Example", True, False),
        ("Alexandra Example", "Aleksandra Example", True, False),
        ("Sukarno", "Sukarno", True, False),
        ("Wei", "Wei Zhang", False, True),
        ("Zhang", "Wei Zhang", False, True),
        ("W. Zhang", "Wei Zhang", False, True),
        ("Li Wei", "Lin Wei", False, True),
        ("Wei Zhang", "Alice Example", False, False),
        ("", "Wei Zhang", False, False),
    ],
)
def test_a_name_is_the_same_when_all_its_parts_are(
    one: str, other: str, same: bool, part: bool
) -> None:
    from access_requests.evidence.orcid import is_part, is_same

    assert (is_same(one, other), is_part(one, other)) == (same, part)
    assert (is_same(other, one), is_part(other, one)) == (same, part)


def test_a_check_that_is_switched_off_is_no_evidence(submitted: Application, settings: Any) -> None:
    iid = "0000-0002-1825-0097"
    submitted.affiliation["orcid"] = iid
    submitted.save()
    SocialAccount.objects.create(user=submitted.applicant, provider="orcid", uid=iid)
    OrcidRecord.objects.create(
        orcid=iid, found=True, name=submitted.applicant.name, looked_up_at=timezone.now()
    )
    off = {"orcid_sign_in", "orcid_record", "listed"}
    assert keys(submitted) & off == set()
    settings.ORCID_API = "https://pub.orcid.org/v3.0"
    settings.SOCIALACCOUNT_PROVIDERS = {"orcid": {}}
    assert keys(submitted) & off == {"orcid_sign_in", "orcid_record"}
    assert found(submitted, "orcid_sign_in").result == "supports"
