"""Evidence advises: each check says what it found, where, when, and what it does not prove."""

import pytest

from access_requests import evidence, services
from access_requests.models import Application, Grant
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.access_requests.people import ANSWERS, applicant


def found(application: Application, key: str) -> evidence.Check:
    return next(check for check in evidence.gather(application) if check.key == key)


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
