"""Files of an application: what they really are, where they lie, and who gets them."""

from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from access_requests import services
from access_requests.files import ATTACHMENT_LIMIT, real_type
from access_requests.models import Application, Attachment, State
from portal.accounts.models import Account, Scope
from portal.catalog.models import Family, Release
from portal.refusals import Code
from tests.access_requests.people import seen_now
from tests.access_requests.samples import EVERY_QUESTION, GOOD, JPEG, PDF, PNG, posted, upload
from tests.access_requests.test_submit import refusal_of
from tests.people import signed_in, with_token


@pytest.fixture
def asking(alice: Account, family: Family, release: Release) -> Application:
    """A draft whose form has a question for a file."""
    services.make_form(family, EVERY_QUESTION)
    return services.start(actor=alice, releases=[release], answers=GOOD)


def on_disk() -> set[Path]:
    return {path for path in (settings.MEDIA_ROOT / "attachments").rglob("*") if path.is_file()}


def attach(application: Application, content: bytes = PDF, name: str = "cv.pdf") -> Attachment:
    return services.attach(
        application.pk, "letter", upload(content, name), actor=application.applicant
    )


def status(account: Account, attachment: Attachment) -> int:
    return signed_in(account).get(attachment.get_absolute_url()).status_code


@pytest.mark.parametrize(
    ("content", "kind"),
    [(PDF, "application/pdf"), (PNG, "image/png"), (JPEG, "image/jpeg")],
)
def test_a_whole_file_is_known_by_its_content(content: bytes, kind: str) -> None:
    assert real_type(content) == kind
    assert real_type(content[:-3]) is None
    assert real_type(b" " + content) is None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (JPEG + b"\0" * 64, "image/jpeg"),  # padding
        (JPEG + b"\0\0\0\x18ftypmp42" + bytes(200), "image/jpeg"),  # a motion photo
        (JPEG + b"SEFHk\0\0\0SEFT", "image/jpeg"),  # a camera's trailer
        (b"Content-Type: application/pdf\r\n\r\n" + PDF, "application/pdf"),
        (b"\xef\xbb\xbf" + PDF, "application/pdf"),
        (PDF + b"% made by a printer\n", "application/pdf"),
        (PDF + b"\0" * 4096, "application/pdf"),
        (PDF + PDF.removeprefix(b"%PDF-1.4\n"), "application/pdf"),  # changed and saved again
    ],
)
def test_what_phones_and_printers_add_to_a_whole_file_is_taken(content: bytes, kind: str) -> None:
    assert real_type(content) == kind


@pytest.mark.parametrize(
    "content",
    [
        PNG + b"<script>alert(1)</script>",
        b"PK\x03\x04\0\0\n" + PDF,  # an archive that is also a PDF
        b"x" * 2000 + b"\n" + PDF,
        PDF + b"x" * 2000,
        PDF[: PDF.index(b"startxref")] + b"%%EOF\n",
        JPEG.removesuffix(b"\xff\xd9") + b"\0" * 64,  # cut, then padded
    ],
)
def test_what_hides_another_file_or_is_cut_is_not(content: bytes) -> None:
    assert real_type(content) is None


@pytest.mark.parametrize(
    "content", [b"", b"%PDF-", b"<html>", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xd9"]
)
def test_anything_else_is_no_attachment(content: bytes) -> None:
    assert real_type(content) is None


def test_a_file_with_a_damaged_chunk_is_refused() -> None:
    assert real_type(PNG[:40] + bytes([PNG[40] ^ 1]) + PNG[41:]) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"MZ" + PDF, "not a whole PDF"),
        (PDF + b" " * ATTACHMENT_LIMIT, "5 MB"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(
    asking: Application, content: bytes, words: str
) -> None:
    before = on_disk()
    refusal = refusal_of(
        services.attach, asking.pk, "letter", upload(content), actor=asking.applicant
    )
    assert (refusal.code, list(refusal.fields)) == (Code.INVALID, ["letter"])
    assert words in refusal.detail
    assert on_disk() == before
    assert not Attachment.objects.exists()


def test_a_file_is_kept_under_a_random_name_with_its_real_ending(asking: Application) -> None:
    made = attach(asking, PNG, "../../my cv\u202e.html")
    assert made.name == "my cv.png"
    assert "cv" not in made.file.name
    assert Path(made.file.path).stat().st_mode & 0o077 == 0
    asking.refresh_from_db()
    assert asking.answers == {**GOOD, "letter": made.answer()}


def test_a_file_is_saved_by_the_browser_and_never_shown(asking: Application) -> None:
    response = signed_in(asking.applicant).get(attach(asking).get_absolute_url())
    assert b"".join(response.streaming_content) == PDF
    assert response["Content-Disposition"] == 'attachment; filename="cv.pdf"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_another_file_takes_the_place_of_the_first_and_a_draft_forgets_it(
    asking: Application,
) -> None:
    before = on_disk()
    attach(asking)
    second = attach(asking, PNG)
    assert list(Attachment.objects.all()) == [second]
    assert on_disk() - before == {Path(second.file.path)}
    for _ in range(2):  # a second click is no harm
        services.detach(asking.pk, "letter", actor=asking.applicant)
    asking.refresh_from_db()
    assert asking.answers == GOOD
    assert on_disk() == before


def test_a_draft_keeps_its_file_to_itself_and_reviewers_see_it_once_submitted(
    asking: Application, alice: Account, rita: Account, mallory: Account, client: Client
) -> None:
    made = attach(asking)
    people = (alice, rita, mallory)
    assert [status(person, made) for person in people] == [200, 404, 404]
    services.submit(asking.pk, actor=alice, typed_name=alice.name)
    assert [status(person, made) for person in people] == [200, 200, 404]
    assert client.get(made.get_absolute_url()).status_code == 302  # to sign in
    page = signed_in(rita).get(f"/admin/access_requests/application/{asking.pk}/change/").text
    assert made.get_absolute_url() in page


def test_nobody_else_attaches_or_removes(
    asking: Application, rita: Account, mallory: Account, alice: Account
) -> None:
    attach(asking)
    for other in (rita, mallory):
        refusal = refusal_of(services.attach, asking.pk, "letter", upload(PDF), actor=other)
        assert refusal.code == Code.NOT_FOUND
        assert refusal_of(services.detach, asking.pk, "letter", actor=other).status == 404
    services.submit(asking.pk, actor=alice, typed_name=alice.name)
    refusal = refusal_of(services.detach, asking.pk, "letter", actor=alice)
    assert refusal.code == Code.WRONG_STATE
    assert Attachment.objects.count() == 1


def test_a_correction_keeps_the_file_that_the_reviewer_had_and_hides_the_new_one_until_then(
    asking: Application, alice: Account, rita: Account
) -> None:
    first = attach(asking)
    services.submit(asking.pk, actor=alice, typed_name=alice.name)
    services.claim(asking.pk, actor=rita)
    services.return_for_correction(
        asking.pk, seen=seen_now(asking.pk), actor=rita, message="Sign the letter."
    )
    second = attach(asking, PNG)
    assert (status(rita, first), status(rita, second)) == (200, 404)
    services.submit(asking.pk, actor=alice, typed_name=alice.name)
    assert (status(rita, first), status(rita, second)) == (200, 200)


def test_a_file_cannot_be_forged_among_the_answers(
    asking: Application, alice: Account, mallory: Account
) -> None:
    made = attach(asking)
    forged = {**made.answer(), "id": "00000000-0000-0000-0000-000000000000"}
    refusal = refusal_of(services.save_draft, asking.pk, actor=alice, answers={"letter": forged})
    assert list(refusal.fields) == ["letter"]
    services.save_draft(asking.pk, actor=alice, answers={"letter": made.answer()})
    services.save_draft(asking.pk, actor=alice, answers={"letter": None})
    asking.refresh_from_db()
    assert asking.answers["letter"] == made.answer()


def test_there_is_no_file_for_a_question_of_another_type(asking: Application) -> None:
    for key in ("title", "nothing"):
        refusal = refusal_of(services.attach, asking.pk, key, upload(PDF), actor=asking.applicant)
        assert refusal.code == Code.INVALID


# ---- On the pages --------------------------------------------------------------------------------


def test_a_file_comes_and_goes_on_the_page(asking: Application, release: Release) -> None:
    client, address = signed_in(asking.applicant), f"/applications/{asking.pk}/edit/"
    sent = {"releases": [release.slug], **posted(GOOD)}
    client.post(address, {**sent, "answers-letter": upload(PDF, "cv.pdf"), "upload": "letter"})
    page = client.get(address).text
    assert "cv.pdf" in page
    client.post(address, sent)  # saving again without a file leaves it
    asking.refresh_from_db()
    assert asking.answers["letter"]["name"] == "cv.pdf"
    client.post(address, {**sent, "remove": "letter"})
    asking.refresh_from_db()
    assert asking.answers == GOOD


def test_a_good_file_is_kept_when_another_answer_is_wrong(
    asking: Application, release: Release
) -> None:
    client, address = signed_in(asking.applicant), f"/applications/{asking.pk}/edit/"
    sent = {"releases": [release.slug], **posted({**GOOD, "gpus": "many"})}
    response = client.post(address, {**sent, "answers-letter": upload(PDF, "cv.pdf")})
    assert response.status_code == 422
    assert "cv.pdf" in response.text
    assert 'value="many"' in response.text
    response = client.post(address, {**sent, "answers-letter": upload(b"MZ", "x.pdf")})
    assert "not a whole PDF" in response.text


def test_the_first_save_of_all_can_bring_a_file(
    alice: Account, family: Family, release: Release
) -> None:
    services.make_form(family, EVERY_QUESTION)
    client = signed_in(alice)
    wrong = posted({**GOOD, "gpus": "many"})
    nowhere = client.post("/applications/new/llama/", {**wrong, "answers-letter": upload(PDF)})
    assert "Choose a release first" in nowhere.text
    assert not Application.objects.exists()
    response = client.post(
        "/applications/new/llama/",
        {**wrong, "releases": [release.slug], "answers-letter": upload(PDF)},
    )
    draft = Application.objects.get()
    assert response.status_code == 422
    assert f'action="/applications/{draft.pk}/edit/"' in response.text
    assert (draft.state, draft.answers["letter"]["name"]) == (State.DRAFT, "letter.pdf")
    assert draft.answers["title"] == "Negation"


def test_one_file_too_many_in_a_minute_says_so_and_loses_nothing_typed(
    asking: Application, release: Release, settings: Settings
) -> None:
    cache.clear()
    rates = {"uploads": "1/minute"}  # an account has twice as much
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    client, address = signed_in(asking.applicant), f"/applications/{asking.pk}/edit/"
    sent = {"releases": [release.slug], **posted(GOOD)}
    for name in ("one.pdf", "two.pdf"):
        client.post(address, {**sent, "answers-letter": upload(PDF, name)})
    response = client.post(address, {**sent, "answers-letter": upload(PDF, "three.pdf")})
    assert response.status_code == 422
    assert "Too many requests of this kind" in response.text
    assert f'value="{GOOD["title"]}"' in response.text
    asking.refresh_from_db()
    assert asking.answers["letter"]["name"] == "two.pdf"
    program = with_token(asking.applicant, Scope.APPLY)
    rest = program.post(f"/api/v1/applications/{asking.pk}/attachments/letter/", {})
    assert rest.status_code == 429  # page and program share the count
    cache.clear()


# ---- Over REST -----------------------------------------------------------------------------------


def test_a_program_attaches_and_takes_away(
    asking: Application, alice: Account, mallory: Account
) -> None:
    address = f"/api/v1/applications/{asking.pk}/attachments/letter/"
    client = with_token(alice, Scope.APPLY, Scope.READ)
    assert client.post(address, {"file": upload(PDF)}).json()["answers"]["letter"]["size"] == len(
        PDF
    )
    assert client.post(address, {"file": upload(b"MZ")}).json()["code"] == "invalid"
    assert client.post(address, {}).status_code == 400
    assert client.post(address, {}, content_type="application/json").status_code == 415
    assert with_token(alice, Scope.READ).post(address, {"file": upload(PDF)}).status_code == 403
    other = with_token(mallory)
    assert other.post(address, {"file": upload(PDF)}).status_code == 404
    assert other.delete(address).status_code == 404
    for _ in range(2):
        assert "letter" not in client.delete(address).json()["answers"]
    assert client.delete(address.replace("letter", "title")).status_code == 400
