"""What a manager types in the catalogue cannot close every door by mistake."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from portal.accounts.models import Account
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from tests.people import signed_in

FAMILIES = "/admin/catalog/family/"


def add_family(client: Client, licence: Licence) -> Family | None:
    form = {"slug": "new", "name": "New", "publisher": "us", "licence": licence.pk, "position": 0}
    client.post(f"{FAMILIES}add/", form)
    return Family.objects.filter(slug="new").first()


def test_a_family_comes_under_a_licence_that_is_in_force(manager: Account) -> None:
    licence = Licence.objects.create(slug="later", name="Later")
    client = signed_in(manager)
    assert add_family(client, licence) is None
    LicenceVersion.objects.create(
        licence=licence, number=1, text="One.", published_at=timezone.now() + timedelta(days=1)
    )
    assert add_family(client, licence) is None
    LicenceVersion.objects.create(licence=licence, number=2, text="Two.")
    assert add_family(client, licence)


def change_release(client: Client, release: Release, **changes: object) -> int:
    names = ("repo_id", "slug", "name", "model_parallel", "link_hours", "metadata", "position")
    form = {name: getattr(release, name) for name in names}
    form |= {"family": release.family_id, "summary": "", "model_card": "", "training_tokens": ""}
    url = f"/admin/catalog/release/{release.pk}/change/"
    return client.post(url, {**form, **changes}).status_code


def test_links_live_for_an_hour_to_a_year(manager: Account, release: Release) -> None:
    client = signed_in(manager)
    for hours in (0, 24 * 365 + 1, 2_147_483_647):
        assert change_release(client, release, link_hours=hours) == 200
        release.refresh_from_db()
        assert release.link_hours == 24
    assert change_release(client, release, link_hours=2) == 302
    release.refresh_from_db()
    assert release.link_hours == 2
