"""The lists that managers load, and what is found in them."""

import io
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from access_requests import evidence, services
from access_requests.evidence import packaged
from access_requests.evidence.listed import likeness_of, pairs_of
from access_requests.models import (
    Application,
    EvidenceList,
    Institution,
    InstitutionDomain,
    ListedEntry,
    ListedName,
    ListedPair,
)
from access_requests.names import name_key
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.access_requests.evidence_files import (
    COUNTRIES,
    DUMP,
    DUMP_NAME,
    LISTED,
    applied,
    by,
    dumped,
    found,
    load_institutions,
    load_listed,
    zipped,
)
from tests.people import signed_in

PAGE = "/admin/access_requests/evidencelist/"
GOOD_LISTED = LISTED.replace("country,Atlantis is not one,,,\n", "")


# ---- Loading ----


def test_a_dump_of_both_schemas_is_loaded_with_its_version_and_date(db: None) -> None:
    made = load_institutions()
    assert (made.status, made.count, made.version, made.dated) == (
        "current",
        4,
        "v2.9",
        date(2026, 10, 28),
    )
    university = Institution.objects.get(ror="01testing0")
    assert (university.name, university.types, university.country) == (
        "University of Testing",
        ["education", "funder"],
        "NL",
    )
    older = Institution.objects.get(ror="05older000")
    assert (older.name, older.types, older.country) == ("Older Institute", ["facility"], "FR")
    assert set(older.names.values_list("key", flat=True)) == {
        "institute older",
        "ancien institut",
        "oi",
        "old one the",
    }
    domains = set(InstitutionDomain.objects.values_list("domain", "is_named"))
    assert domains == {
        ("testing.example", True),
        ("works.example", False),
        ("mail.older.example", True),
        ("older.example", False),
    }, "neither a closed institution's domain, nor the host of somebody's page"


def test_a_zip_that_unpacks_to_far_more_than_it_is_or_holds_a_crowd_is_refused(db: None) -> None:
    bomb = zipped(ror__json=b"[" + b" " * 30_000_000 + b"]")
    crowd = zipped(**{f"f{number}__txt": b"" for number in range(101)}, ror__json=b"[]")
    behind = io.BytesIO(zipped(ror__json=b"[]").getvalue() + b"more")
    for packed, why in (
        (bomb, "far larger unpacked"),
        (crowd, "more than 100 files"),
        (behind, "unpack it and load the file in it"),
    ):
        with pytest.raises(Refusal) as refused:
            services.load_list("institutions", packed, actor=None, file_name="ror.zip")
        assert why in refused.value.detail
    assert not Institution.objects.exists()


def test_what_is_read_of_a_zip_ends_at_the_size_that_it_names(db: None) -> None:
    """The size that was checked is the size that is unpacked."""
    content = bytearray(zipped(ror__json=b"[" + b" " * 100_000 + b"]").getvalue())
    at = content.rindex(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(Refusal) as refused:
        services.load_list(
            "institutions", io.BytesIO(bytes(content)), actor=None, file_name="ror.zip"
        )
    assert refused.value.code == Code.INVALID


def test_of_a_zip_with_both_schemas_the_newer_is_read(db: None) -> None:
    packed = zipped(
        **{
            "v1-ror-data__json": dumped(DUMP[:1]).getvalue(),
            "v1-ror-data_schema_v2__json": dumped(DUMP[:2]).getvalue(),
            "v1-ror-data__csv": b"id\n",
        }
    )
    made = services.load_list("institutions", packed, actor=None, file_name="ror.zip")
    assert made.count == 2


def test_a_new_list_replaces_the_old_one_and_its_rows(db: None) -> None:
    first = load_institutions()
    second = services.load_list(
        "institutions", dumped(DUMP[:1]), actor=None, file_name="2026-11-01.json"
    )
    first.refresh_from_db()
    assert (first.status, second.status) == ("former", "current")
    assert first.count == 4, "what it was stays known"
    assert list(Institution.objects.values_list("evidence_list", "ror")) == [
        (second.pk, "01testing0")
    ]
    assert InstitutionDomain.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[]", "no entry"),
        (b"not json", "not the JSON"),
        (b'[{"name": "no id"}]', "no ROR id"),
        (b'[{"id": "https://ror.org/1", "names": 3}]', "another form"),
        (dumped(DUMP).getvalue()[:-40], "not the JSON"),
        (b"PK\x03\x04broken", "zip file is broken"),
        (zipped(readme__txt=b"hello").getvalue(), "no .json file"),
    ],
)
def test_a_file_that_is_no_dump_leaves_the_list_in_use_as_it_is(
    db: None, content: bytes, problem: str
) -> None:
    before = load_institutions()
    with pytest.raises(Refusal, match=problem) as refused:
        services.load_list("institutions", io.BytesIO(content), actor=None, file_name="x.json")
    assert refused.value.code == Code.INVALID
    before.refresh_from_db()
    assert before.status == "current"
    assert Institution.objects.count() == 4
    failed = EvidenceList.objects.get(status="failed")
    assert problem in failed.problem


def test_only_managers_load_and_the_log_names_no_file(manager: Account, rita: Account) -> None:
    for person in (rita,):
        with pytest.raises(Refusal) as refused:
            services.load_list("institutions", dumped(DUMP), actor=person, file_name=DUMP_NAME)
        assert refused.value.code == Code.NOT_ALLOWED
    assert not EvidenceList.objects.exists()
    made = services.load_list("institutions", dumped(DUMP), actor=manager, file_name=DUMP_NAME)
    event = Event.objects.get(verb=Verb.EVIDENCE_LIST_LOADED)
    assert (event.actor, event.subject_id) == (manager, str(made.pk))
    assert event.data == {"kind": "institutions", "entries": 4, "sha256": made.sha256}


def test_the_commands_load_and_say_what_is_in_use(
    db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump, listed = tmp_path / DUMP_NAME, tmp_path / "listed.csv"
    dump.write_bytes(dumped(DUMP).getvalue())
    listed.write_text(GOOD_LISTED)
    call_command("load_institutions", dump)
    call_command("load_listed", listed, "--dated", "2026-11-20")
    told = capsys.readouterr().out
    assert "4 entries are in use: v2.9-2026-10-28-ror" in told
    assert "3 entries are in use: listed.csv of 20 November 2026" in told
    with pytest.raises(CommandError, match="No such file"):
        call_command("load_institutions", tmp_path / "none.json")
    with pytest.raises(CommandError, match="was not loaded"):
        call_command("load_institutions", listed)


def test_lists_that_packages_bring_say_of_when_they_are() -> None:
    for package, (known, _) in packaged.PUBLISHED.items():
        assert version(package) == known, "write the day of the new version into packaged.py"
    assert "9 November 2026" in packaged.disposable_source()


# ---- Institutions ----


@pytest.mark.parametrize(
    ("address", "institution", "result", "told"),
    [
        ("bob@testing.example", "University of Testing", "supports", "01testing0"),
        ("bob@cs.testing.example", "Some group of ours", "supports", "University of Testing"),
        ("bob@testing.example", "Older Institute", "neutral", "names Older Institute"),
        ("bob@gone.example", "Gone College", "neutral", "No institution"),
        ("bob@nottesting.example", "University of Testing", "neutral", "No institution"),
        ("bob@hosting.example", "A guest on a page", "neutral", "No institution"),
        ("bob@ox.ac.uk", "University of Oxford", "supports", "Oxford"),
    ],
)
def test_the_mail_is_looked_up_among_institutions(
    release: Release, address: str, institution: str, result: str, told: str
) -> None:
    load_institutions()
    check = found(applied(by(address, institution=institution), release), "research_domain")
    assert (check.result, told in check.finding) == (result, True), check.finding
    assert "28 October 2026" in check.source


def test_without_a_list_the_public_one_is_asked_and_the_source_says_so(release: Release) -> None:
    check = found(applied(by("bob@ox.ac.uk"), release), "research_domain")
    assert check.result == "supports"
    assert "no ROR list is loaded" in check.source


@pytest.mark.parametrize(
    ("address", "category", "result"),
    [
        ("bob@works.example", "academia", "attention"),
        ("bob@works.example", "industry", "supports"),
        ("bob@testing.example", "academia", "supports"),
        ("bob@testing.example", "industry", "attention"),
        ("bob@testing.example", "independent", "neutral"),
        ("bob@elsewhere.example", "academia", "neutral"),
    ],
)
def test_the_category_is_held_against_the_type_of_the_institution(
    release: Release, address: str, category: str, result: str
) -> None:
    load_institutions()
    check = found(applied(by(address, category=category), release), "category")
    assert check.result == result, check.finding


def test_others_of_an_institution_are_found_by_its_ror_id_under_another_name(
    release: Release,
) -> None:
    load_institutions()
    applied(by("bob@testing.example", institution="Universiteit van Testen"), release)
    check = found(applied(by("carol@testing.example"), release), "institution")
    assert "1 application of others" in check.finding
    elsewhere = applied(by("dan@works.example", institution="Example Works"), release)
    assert "Nobody else" in found(elsewhere, "institution").finding


def test_spellings_of_one_name_have_one_key() -> None:
    assert name_key("Universität Łódź") == name_key("Lodz UNIVERSITAT")
    assert name_key("O’Brien, Ann") == name_key("ann obrien")
    assert name_key("Ann") != name_key("Anna")


def test_an_older_application_learns_its_institution_when_indexed_again(
    submitted: Application,
) -> None:
    assert submitted.ror == ""
    load_institutions()
    call_command("index_evidence", verbosity=0)
    submitted.refresh_from_db()
    assert submitted.ror == "01testing0"


# ---- Listed countries, persons, organisations ----


@pytest.mark.parametrize(
    ("name", "institution", "told"),
    [
        ("Muller-Ludenscheidt Jurgen", "Elsewhere", "is the listed person “Jürgen Müller-Lüd"),
        ("Evil, Dr", "Elsewhere", "(also Dr. Evil"),
        ("Vladimir Exampler", "Elsewhere", "95 of 100 like"),
        ("Vladimir Vladimirovitch Exampler", "Elsewhere", "of 100 like"),
        ("Bob Harmless", "Institute of Listed Works", "listed organisation"),
    ],
)
def test_a_listed_name_asks_for_a_closer_look(
    release: Release, name: str, institution: str, told: str
) -> None:
    load_listed(GOOD_LISTED, dated=date(2026, 11, 1))
    check = found(
        applied(by("bob@lab.test", name=name, institution=institution), release), "listed"
    )
    assert check.result == "attention", check.finding
    assert told in check.finding
    assert "Council Regulation" in check.finding
    assert "1 November 2026" in check.source


@pytest.mark.parametrize("name", ["Bob Harmless", "Vladimir Putinesque", "Jürgen", "J"])
def test_another_name_says_nothing(release: Release, name: str) -> None:
    load_listed(GOOD_LISTED)
    assert found(applied(by("bob@lab.test", name=name), release), "listed").result == "neutral"


def test_a_listed_country_is_shown_with_its_source(release: Release) -> None:
    load_listed(COUNTRIES)
    check = found(applied(by("bob@lab.test", country="KP"), release), "listed")
    assert check.result == "attention"
    assert "Export rules" in check.finding
    other = found(applied(by("carol@lab.test", country="NL"), release), "listed")
    assert other.result == "neutral"


def test_without_a_list_there_is_no_such_check(submitted: Application) -> None:
    assert "listed" not in {check.key for check in evidence.gather(submitted)}


def test_the_simple_csv_of_opensanctions_is_read(db: None) -> None:
    made = load_listed(
        "id,schema,name,aliases,countries,sanctions,dataset\n"
        "Q1,Person,Ann Listed,Anna L.;A. Listed,ru,Blocked,EU list\n"
        "Q2,Vessel,Ship,,,,EU list\n"
    )
    assert made.count == 1
    entry = ListedEntry.objects.get()
    assert (entry.kind, entry.source, entry.note) == ("person", "EU list", "Blocked")
    assert entry.aliases == ["Anna L.", "A. Listed"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LISTED, "Line 5: “Atlantis is not one” is no country"),
        ("kind,name\nghost,Bob\n", "Line 2: the kind"),
        ("kind,name\nperson,\n", "Line 2: the name is missing"),
        ("who,what\na,b\n", "name the columns"),
        ("", "name the columns"),
    ],
)
def test_a_csv_that_does_not_fit_is_refused_with_its_line(
    db: None, text: str, problem: str
) -> None:
    with pytest.raises(Refusal, match=problem):
        load_listed(text)
    assert not ListedEntry.objects.exists()
    assert not ListedName.objects.exists()
    assert not ListedPair.objects.exists()


def test_likeness_counts_letters_and_names_that_are_left_out() -> None:
    assert likeness_of("ann bell", "ann bell") == 100
    assert likeness_of("ann bell", "ann bell carol") == 95
    assert likeness_of("ann", "ann bell") < 88, "one word in common is no sign"
    assert likeness_of("alexander petrov", "aleksander petrov") >= 88
    assert pairs_of("Ann van Bell") == ["an be", "an va", "be va"]


# ---- The managers' page ----


def test_the_page_explains_itself_while_nothing_is_loaded(manager: Account) -> None:
    page = signed_in(manager).get(PAGE).content.decode()
    assert "none loaded" in page
    assert "Until one is loaded" in page
    assert "Nothing yet." in page


def test_a_manager_loads_a_list_and_sees_what_is_in_use(manager: Account) -> None:
    mona = signed_in(manager)
    upload = SimpleUploadedFile(DUMP_NAME, dumped(DUMP).getvalue())
    answer = mona.post(f"{PAGE}load/institutions/", {"file": upload}, follow=True)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "4 entries are in use" in page
    assert "28 October 2026" in page
    assert "v2.9" in page


@pytest.mark.parametrize(
    ("content", "told"), [(b"rubbish", "was not loaded"), (None, "This field is required")]
)
def test_what_is_wrong_with_a_file_stands_beside_it(
    manager: Account, content: bytes | None, told: str
) -> None:
    data: dict[str, Any] = {"file": SimpleUploadedFile("x.csv", content)} if content else {}
    answer = signed_in(manager).post(f"{PAGE}load/listed/", data)
    assert answer.status_code in (400, 422)
    assert told in answer.content.decode()
    assert not EvidenceList.objects.filter(status="current").exists()


def test_nobody_but_managers_sees_or_loads_lists(
    rita: Account, mallory: Account, manager: Account
) -> None:
    upload = SimpleUploadedFile(DUMP_NAME, dumped(DUMP).getvalue())
    assert signed_in(rita).get(PAGE).status_code in (403, 404)
    assert signed_in(rita).post(f"{PAGE}load/institutions/", {"file": upload}).status_code == 404
    assert signed_in(mallory).get(PAGE).status_code in (302, 403, 404)
    assert signed_in(manager).post(f"{PAGE}load/ghosts/").status_code == 404
    assert not EvidenceList.objects.exists()
    assert reverse("admin:access_requests_evidencelist_changelist") == PAGE
