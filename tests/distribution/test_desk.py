"""What managers see of downloads: who, what, when, how much, from where, whether whole; and what was denied."""

import csv
import io
import json
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient
from django.utils import timezone

from access_requests.models import Grant
from distribution import charts, network_lists, reports
from distribution.models import Artifact, Download, NetworkList, NetworkRange, Quota
from distribution.services import issue_links
from distribution.sizes import human, parsed
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from tests.distribution.asking import ask
from tests.distribution.weights import granted
from tests.people import signed_in

REGISTRY = b"""2|ripencc|20261124|4|19830705|20261123|+0100
ripencc|*|ipv4|*|2|summary
ripencc|NL|ipv4|192.0.2.0|256|19930901|allocated|aaa
ripencc|FR|ipv4|198.51.100.0|1024|20000101|assigned|bbb
ripencc|DE|ipv6|2001:db8::|32|20000101|allocated|ccc
ripencc||ipv4|203.0.113.0|256||available|
ripencc|NL|asn|1101|1|19930901|allocated|aaa
"""


@pytest.fixture
def grant(alice: Account, shard: Artifact) -> Grant:
    return granted(alice, shard.revision.release)


@pytest.fixture
def used(grant: Grant, alice: Account, release: Release) -> Grant:
    """Every file whole from one network, ten bytes from another, a denial, and one of long ago."""
    links = {link.path: link.url for link in issue_links(release, actor=alice)}
    for url in links.values():
        assert ask(url, ip="192.0.2.7").status == 200
    assert ask(links["params.json"], ip="2001:db8::9", range="bytes=0-9").status == 206
    assert ask(links["params.json"] + "x", ip="192.0.2.7", user_agent="=cmd()").status == 403
    old = Download.objects.create(
        grant=grant, outcome="served", method="GET", request_id="old", bytes_sent=10**6
    )
    Download.objects.filter(pk=old.pk).update(started_at=timezone.now() - timedelta(days=60))
    return grant


def load(manager: Account, content: bytes, name: str = "delegated-ripencc-extended") -> int:
    file = SimpleUploadedFile(name, content)
    answer = signed_in(manager).post("/admin/distribution/networklist/load/", {"file": file})
    return answer.status_code


def url_of(about: Release | Grant) -> str:
    kind, key = ("grants", about.pk) if isinstance(about, Grant) else ("releases", about.slug)
    return f"/admin/distribution/download/{kind}/{key}/"


def test_the_page_of_a_release_says_who_had_what(
    used: Grant, release: Release, manager: Account
) -> None:
    assert load(manager, REGISTRY) == 302
    page = signed_in(manager).get(url_of(release)).text
    for said in ("Alice Example", "consolidated.00.pth", "192.0.2.0/24", "2001:db8::/48"):
        assert said in page, said
    assert "192.0.2.7" not in page, "of an address the network alone is kept"
    assert "Netherlands" in page
    assert "Germany" in page
    assert "signature_invalid" in page
    assert "whole" in page
    (holder,) = reports.holders(release, 30)
    assert (holder.grant, holder.copies, holder.networks) == (used, 1, 2)


def test_a_period_without_downloads_is_called_that(
    used: Grant, release: Release, manager: Account
) -> None:
    client, nothing = signed_in(manager), "No downloads in this period."
    assert nothing not in client.get(url_of(release)).text
    Download.objects.update(started_at=timezone.now() - timedelta(days=60))
    assert nothing in client.get(url_of(release)).text
    assert nothing not in client.get(f"{url_of(release)}?days=365").text


def test_the_page_of_a_grant_says_the_same_of_one_person(
    used: Grant, mallory: Account, manager: Account, release: Release
) -> None:
    granted(mallory, release)
    page = signed_in(manager).get(url_of(used)).text
    assert "params.json" in page
    assert "denied: signature_invalid" in page
    assert "alice@lab.test" in page
    assert mallory.email not in page
    whole = {one.artifact.path: one.whole for one in reports.files_of(used)}
    assert whole == {"consolidated.00.pth": 1, "params.json": 1, "tokenizer.model": 1}


def test_nobody_else_sees_them(
    used: Grant, release: Release, rita: Account, alice: Account, mallory: Account
) -> None:
    for about in (used, release):
        for person in (rita, alice, mallory):
            for more in ("", "export/csv/"):
                answer = signed_in(person).get(url_of(about) + more)
                assert answer.status_code in (302, 403, 404), (person, more)
            assert signed_in(person).post(url_of(about) + "quota/", {}).status_code != 200
    assert not Quota.objects.exists()


def test_the_numbers_of_a_day_are_what_left(used: Grant, release: Release) -> None:
    days = reports.per_day(reports.downloads_of(release=release), 7)
    files = sum(file.size for file in Artifact.objects.all())
    assert [size for _, size in days] == [0] * 6 + [files + 10]
    year = reports.per_day(reports.downloads_of(release=release), 365)
    assert sum(size for _, size in year) == files + 10 + 10**6, "and what left 60 days ago"
    chart = charts.of_days(days)
    assert chart.most == chart.total == files + 10
    assert [bar.height > 0 for bar in chart.bars] == [False] * 6 + [True]
    assert chart.bars[-1].y == charts.TOP


def test_a_chart_of_nothing_is_drawn_without_dividing_by_it() -> None:
    assert charts.of_days([]).bars == []
    today = timezone.now().date()
    assert charts.of_days([(today, 0)]).bars[0].height == 0
    little = charts.of_days([(today, 1), (today, 10**12)])
    assert little.bars[0].height == 1.0, "a byte is not drawn as none"


def test_the_chart_can_be_read_without_seeing_it(
    used: Grant, release: Release, manager: Account
) -> None:
    page = signed_in(manager).get(url_of(release)).text
    assert 'role="img" aria-labelledby="chart-title chart-text"' in page
    assert "Every day as a table" in page
    assert "style=" not in page.split('<figure class="wb-chart">')[1].split("</figure>")[0]


def exported(manager: Account, url: str) -> str:
    async def read() -> str:
        client = AsyncClient()
        await client.aforce_login(manager, backend="django.contrib.auth.backends.ModelBackend")
        answer = await client.get(url)
        assert answer.status_code == 200
        return b"".join([part async for part in answer]).decode()

    return async_to_sync(read)()


def test_the_export_has_every_row_and_no_formula(
    used: Grant, release: Release, manager: Account
) -> None:
    load(manager, REGISTRY)
    rows = list(csv.DictReader(io.StringIO(exported(manager, url_of(release) + "export/csv/"))))
    assert len(rows) == Download.objects.filter(grant=used).count() == 6
    assert {row["country"] for row in rows if row["network"]} == {"NL", "DE"}
    denied = next(row for row in rows if row["outcome"] == "denied")
    assert (denied["code"], denied["user_agent"]) == ("signature_invalid", "'=cmd()")
    lines = exported(manager, url_of(used) + "export/jsonl/").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [int(row["id"]) for row in rows]
    assert json.loads(lines[0])["email"] == used.account.email
    assert signed_in(manager).get(url_of(used) + "export/xml/").status_code == 404


# ---- quotas --------------------------------------------------------------------------------------


def test_a_manager_sets_a_quota_and_it_holds_at_the_next_request(
    grant: Grant, manager: Account, alice: Account, release: Release
) -> None:
    link = issue_links(release, actor=alice, paths=["params.json"])[0].url
    answer = signed_in(manager).post(
        url_of(release) + "quota/", {"bytes_per_day": "1 GB", "copies": "1"}, follow=True
    )
    assert 'value="1.0 GB"' in answer.text
    event = Event.objects.get(verb=Verb.QUOTA_SET)
    assert (event.actor, event.subject_type) == (manager, "catalog.release")
    assert event.data["after"] == {"bytes_per_day": 10**9, "copies": 1, "transfers": None}
    assert ask(link).status == 200
    assert ask(link).status == 429
    signed_in(manager).post(url_of(grant) + "quota/", {"copies": "2"})
    assert ask(link).status == 200
    event = Event.objects.filter(verb=Verb.QUOTA_SET).latest("id")
    assert event.subject_type == "access_requests.grant"
    signed_in(manager).post(url_of(grant) + "quota/", {"copies": "2"})
    assert Event.objects.filter(verb=Verb.QUOTA_SET).count() == 2, "nothing changed"


@pytest.mark.parametrize(
    "given",
    [
        {"bytes_per_day": "a lot"},
        {"bytes_per_day": "10 bytes"},  # no file fits
        {"bytes_per_day": "0"},
        {"bytes_per_day": "99999999999 PB"},
        {"copies": "0"},
        {"transfers": "-1"},
    ],
)
def test_a_quota_that_makes_no_sense_is_not_set(
    grant: Grant, manager: Account, given: dict[str, str]
) -> None:
    answer = signed_in(manager).post(url_of(grant) + "quota/", given)
    assert answer.status_code in (400, 422)
    assert 'class="errors"' in answer.text
    assert not Quota.objects.exists()


def test_sizes_are_read_as_they_are_written() -> None:
    for size in (0, 999, 1500, 13_500_000_000, 130 * 10**12):
        assert parsed(human(size)) == size
    assert parsed("1.5gb") == parsed("1500 MB") == parsed("1500000000 bytes") == 1_500_000_000
    for wrong in ("", "GB", "-1 GB", "1 GiB", "1e9"):
        with pytest.raises(ValueError):
            parsed(wrong)


# ---- networks and countries ----------------------------------------------------------------------


def test_countries_come_from_the_table_in_use_alone(manager: Account) -> None:
    assert reports.country_of("192.0.2.0/24") == ""
    assert load(manager, REGISTRY) == 302
    assert reports.country_of("192.0.2.0/24") == "NL"
    assert reports.country_of("198.51.103.0/24") == "FR", "1,024 addresses are four /24"
    assert reports.country_of("198.51.104.0/24") == ""
    assert reports.country_of("2001:db8:7::/48") == "DE"
    assert reports.country_of("203.0.113.0/24") == "", "it is in no country"
    assert reports.country_of("") == ""
    assert load(manager, b"network,country\n192.0.2.0/24,be\n", "own.csv") == 302
    assert reports.country_of("192.0.2.0/24") == "BE"
    assert reports.country_of("2001:db8:7::/48") == ""
    assert NetworkRange.objects.count() == 1, "the former table is gone"
    assert NetworkList.objects.get(is_current=True).file_name == "own.csv"
    assert Event.objects.filter(verb=Verb.NETWORK_LIST_LOADED).count() == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"192.0.2.0/24,Netherlands\n", b"x/y,NL\n", b"2001::,192.0.2.1,NL\n",
     b"192.0.2.9,192.0.2.1,NL", b"a|NL|ipv4|nowhere|1|x|y", b"#" * 10_000],
)  # fmt: skip
def test_a_file_that_is_no_table_leaves_the_one_in_use(manager: Account, content: bytes) -> None:
    load(manager, REGISTRY)
    assert load(manager, content, "wrong") in (400, 422)
    assert reports.country_of("192.0.2.0/24") == "NL"
    assert NetworkList.objects.count() == 1


def test_two_addresses_make_a_range() -> None:
    (one,) = network_lists.read(io.BytesIO(b"192.0.2.0,192.0.2.255,NL\n"))
    assert (one.first[-8:], one.last[-8:], one.country) == ("c0000200", "c00002ff", "NL")


def test_only_managers_load_a_table(rita: Account, mallory: Account) -> None:
    for person in (rita, mallory):
        assert load(person, REGISTRY) in (302, 403, 404)
    assert not NetworkList.objects.exists()
