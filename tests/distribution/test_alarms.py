"""Downloads that are not as usual: a mail to the managers, once, and a mark on the grant, until somebody looked."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from access_requests.models import Grant
from distribution.models import Alarm, Artifact, Download
from distribution.services import alarms
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.distribution.weights import granted
from tests.people import signed_in


@pytest.fixture
def grant(alice: Account, shard: Artifact, settings: Settings) -> Grant:
    settings.ALARM_NETWORKS, settings.ALARM_DENIALS, settings.ALARM_COPIES = 3, 4, 2
    return granted(alice, shard.revision.release)


def rows(grant: Grant, times: int = 1, *, hours_ago: float = 0, **fields: object) -> None:
    for number in range(times):
        values = {"outcome": "served", "method": "GET", "request_id": "x"}
        values |= {"network": "192.0.2.0/24"}
        row = Download.objects.create(grant=grant, **values | fields)
        if fields.get("network") == "many":
            Download.objects.filter(pk=row.pk).update(network=f"10.0.{number}.0/24")
        at = timezone.now() - timedelta(hours=hours_ago)
        Download.objects.filter(pk=row.pk).update(started_at=at)


def standing() -> set[str]:
    return set(Alarm.objects.filter(dismissed_at=None).values_list("kind", flat=True))


def size_of(grant: Grant) -> int:
    return sum(file.size for file in grant.release.revisions.get(is_current=True).artifacts.all())


def test_an_ordinary_download_raises_nothing(grant: Grant, manager: Account) -> None:
    rows(grant, 3, bytes_counted=size_of(grant) // 3, bytes_sent=size_of(grant) // 3)
    rows(grant, 3, outcome="denied", code="expired")
    rows(grant, 1, network="many")
    rows(grant, 9, network="many", hours_ago=25)
    rows(grant, 9, outcome="denied", code="expired", hours_ago=1.1)
    assert alarms.raise_due() == 0
    assert not OutgoingMail.objects.exists()


def test_what_a_proxy_or_store_was_asked_for_again_is_part_of_a_burst(
    grant: Grant, manager: Account
) -> None:
    """Bytes of a resume count once in quotas; for an alarm they may all have left."""
    rows(grant, 2, outcome="handed", bytes_asked=size_of(grant), bytes_counted=0)
    assert alarms.raise_due() == 1
    assert standing() == {"burst"}


@pytest.mark.parametrize(
    ("kind", "fields", "times"),
    [
        ("networks", {"network": "many"}, 3),
        ("denials", {"outcome": "denied", "code": "expired"}, 4),
        ("burst", {"bytes_sent": 10**9}, 1),
    ],
)
def test_each_kind_is_raised_once_with_a_mail_to_each_manager(
    grant: Grant, manager: Account, rita: Account, kind: str, fields: dict[str, object], times: int
) -> None:
    rows(grant, times, **fields)
    assert alarms.raise_due() == 1
    assert standing() == {kind}
    mail = OutgoingMail.objects.get()
    assert (mail.to, mail.template) == (manager.email, "download_alarm")
    assert "Alice Example" in mail.body
    assert Alarm.objects.get().get_absolute_url() in mail.body
    event = Event.objects.get(verb=Verb.ALARM_RAISED)
    assert (event.subject_id, event.data["kind"]) == (str(grant.pk), kind)
    rows(grant, times, **fields)
    assert alarms.raise_due() == 0, "it stands already"
    assert OutgoingMail.objects.count() == 1


def test_another_grant_is_not_marked(grant: Grant, mallory: Account, manager: Account) -> None:
    rows(grant, 3, network="many")
    rows(granted(mallory, grant.release), 2, network="many")
    assert alarms.raise_due() == 1
    assert Alarm.objects.get().grant == grant


def test_zero_turns_an_alarm_off(grant: Grant, settings: Settings) -> None:
    settings.ALARM_NETWORKS = 0
    rows(grant, 30, network="many")
    assert alarms.raise_due() == 0


def test_a_dismissed_alarm_comes_back_only_for_what_came_after(
    grant: Grant, manager: Account
) -> None:
    rows(grant, 3, network="many")
    alarms.raise_due()
    alarm = alarms.dismiss(Alarm.objects.get().pk, actor=manager, note="A conference.")
    assert alarms.raise_due() == 0
    event = Event.objects.get(verb=Verb.ALARM_DISMISSED)
    assert (event.actor, event.data) == (manager, {"kind": "networks", "alarm": alarm.pk})
    rows(grant, 3, network="many")
    assert alarms.raise_due() == 1
    with pytest.raises(Refusal) as refused:
        alarms.dismiss(alarm.pk, actor=manager, note="Again.")
    assert refused.value.code == Code.WRONG_STATE


def test_only_managers_dismiss_and_only_with_a_note(
    grant: Grant, manager: Account, rita: Account
) -> None:
    rows(grant, 3, network="many")
    alarms.raise_due()
    alarm = Alarm.objects.get()
    for actor, note, code in ((rita, "x", Code.NOT_ALLOWED), (manager, "  ", Code.INVALID)):
        with pytest.raises(Refusal) as refused:
            alarms.dismiss(alarm.pk, actor=actor, note=note)
        assert refused.value.code == code
    assert standing() == {"networks"}


def test_the_grants_page_bears_the_mark_until_it_is_dismissed(
    grant: Grant, manager: Account, rita: Account
) -> None:
    rows(grant, 3, network="many")
    alarms.raise_due()
    alarm = Alarm.objects.get()
    page = f"/admin/access_requests/grant/{grant.pk}/change/"
    said = "Downloads came from 3 networks in a day"
    assert said in signed_in(manager).get(page).text
    assert alarm.get_absolute_url() in signed_in(manager).get(page).text
    assert said in signed_in(rita).get(page).text
    assert alarm.get_absolute_url() not in signed_in(rita).get(page).text
    dismiss = f"/admin/distribution/alarm/{alarm.pk}/dismiss/"
    assert signed_in(rita).post(dismiss, {"note": "x"}).status_code in (403, 404)
    assert signed_in(manager).post(dismiss, {"note": ""}).status_code == 422
    done = signed_in(manager).post(dismiss, {"note": "A conference."}, follow=True)
    assert "A conference." in done.text
    assert said not in signed_in(manager).get(page).text
    assert signed_in(manager).post(dismiss, {"note": "again"}).status_code == 409
