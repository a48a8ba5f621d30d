"""What managers edit in the catalogue and the policies is on record: who and which fields, no text."""

import json

from access_requests import services
from access_requests.models import DecisionPolicy
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from tests.people import signed_in

SECRET = "words-that-are-free-text"


def events(verb: Verb) -> list[Event]:
    return list(Event.objects.filter(verb=verb).order_by("id"))


def change_family(account: Account, family: Family, **changes: object) -> int:
    names = ("slug", "name", "publisher", "summary", "position")
    form = {name: getattr(family, name) for name in names} | {"licence": family.licence_id}
    url = f"/admin/catalog/family/{family.pk}/change/"
    return signed_in(account).post(url, {**form, **changes}).status_code


def test_an_edit_of_a_family_names_the_fields_and_not_their_text(
    manager: Account, family: Family
) -> None:
    assert change_family(manager, family, summary=SECRET, position=3) == 302
    (event,) = events(Verb.FAMILY_CHANGED)
    assert event.actor == manager
    assert event.subject_id == str(family.pk)
    assert event.data == {
        "fields": ["position", "summary"],
        "before": {"position": 0},
        "after": {"position": 3},
    }
    assert SECRET not in json.dumps(event.data)


def test_saving_without_a_change_is_no_event(manager: Account, family: Family) -> None:
    assert change_family(manager, family) == 302
    assert events(Verb.FAMILY_CHANGED) == []


def test_a_family_that_comes_under_another_licence_names_both(
    manager: Account, family: Family
) -> None:
    other = Licence.objects.create(slug="other", name="Other")
    LicenceVersion.objects.create(licence=other, number=1, text="Other.")
    before = family.licence_id
    assert change_family(manager, family, licence=other.pk) == 302
    (event,) = events(Verb.FAMILY_CHANGED)
    assert event.data["before"] == {"licence": before}
    assert event.data["after"] == {"licence": other.pk}


def test_a_reviewer_edits_no_family_and_leaves_no_event(rita: Account, family: Family) -> None:
    assert change_family(rita, family, summary=SECRET) == 403
    assert events(Verb.FAMILY_CHANGED) == []


def test_an_edit_of_a_release_is_on_record(manager: Account, release: Release) -> None:
    names = ("repo_id", "slug", "name", "model_parallel", "link_hours", "metadata", "position")
    form = {name: getattr(release, name) for name in names}
    form |= {"family": release.family_id, "summary": "", "training_tokens": ""}
    form |= {"model_card": SECRET, "link_hours": 2}
    url = f"/admin/catalog/release/{release.pk}/change/"
    assert signed_in(manager).post(url, form).status_code == 302
    (event,) = events(Verb.RELEASE_CHANGED)
    assert event.data["fields"] == ["link_hours", "model_card", "training_tokens"]
    assert event.data["before"]["link_hours"] == 24
    assert event.data["after"]["link_hours"] == 2
    assert SECRET not in json.dumps(event.data)


def test_a_policy_is_on_record_from_its_making_to_its_end(
    manager: Account, release: Release
) -> None:
    client, url = signed_in(manager), "/admin/access_requests/decisionpolicy/"
    form = {"release": release.pk, "approvals": 2, "checklist": SECRET, "second_looks": 0}
    form["max_grant_days"] = 365
    assert client.post(f"{url}add/", form).status_code == 302
    policy = DecisionPolicy.objects.get()
    form = {**form, "approvals": 1}
    assert client.post(f"{url}{policy.pk}/change/", form).status_code == 302
    assert client.post(f"{url}{policy.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not DecisionPolicy.objects.exists()
    made, changed, ended = events(Verb.POLICY_CHANGED)
    assert made.data["created"]
    assert changed.data == {
        "fields": ["approvals"],
        "before": {"approvals": 2},
        "after": {"approvals": 1},
    }
    assert ended.data == {"deleted": True}
    assert {event.subject_id for event in (made, changed, ended)} == {str(policy.pk)}
    assert SECRET not in json.dumps([event.data for event in (made, changed, ended)])


def test_a_licence_described_anew_is_on_record_once(manager: Account, licence: Licence) -> None:
    given = {"name": licence.name, "summary": SECRET}
    services.describe_licence(licence.pk, actor=manager, **given)
    services.describe_licence(licence.pk, actor=manager, **given)
    (event,) = events(Verb.LICENCE_DESCRIBED)
    assert event.data == {"fields": ["summary"], "before": {}, "after": {}}
