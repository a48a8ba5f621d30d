"""A directory and a real S3 server do the same, and refuse the same."""

import base64
import fcntl
import hashlib
import os
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from pytest_django import Settings

from access_requests.models import Grant
from distribution import hashing
from distribution.errors import StoreError
from distribution.models import Artifact, Download, Revision
from distribution.services import issue_link, materialise, publish
from distribution.stores import LocalStore, Store, copying, get_store, multipart
from distribution.stores import s3 as s3_module
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.distribution.asking import ask
from tests.distribution.s3_server import S3
from tests.distribution.weights import granted

CONTENT = b"weights " * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["local", "s3"])
def any_store(request: pytest.FixtureRequest) -> Store:
    if request.param == "s3":
        request.getfixturevalue("s3")
    return get_store()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def test_what_is_put_comes_back(any_store: Store, source: Path, tmp_path: Path) -> None:
    assert any_store.size("a/b") is None
    seen: list[int] = []
    any_store.put("a/b", source, sha256=SHA, advance=seen.append)
    assert sum(seen) == len(CONTENT)
    assert any_store.size("a/b") == len(CONTENT)
    with any_store.open("a/b") as file:
        assert file.read() == CONTENT
    any_store.fetch("a/b", tmp_path / "got", sha256=SHA)
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_bytes_of_another_hash_are_not_kept(any_store: Store, source: Path) -> None:
    with pytest.raises(StoreError, match="nothing was kept"):
        any_store.put("a/b", source, sha256="0" * 64)
    assert any_store.size("a/b") is None


def test_an_empty_file_is_kept_too(any_store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    any_store.put("empty", tmp_path / "empty", sha256=hashlib.sha256(b"").hexdigest())
    assert any_store.size("empty") == 0


def test_a_key_that_is_complete_is_not_written_again(
    any_store: Store, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_store.put("a/b", source, sha256=SHA)
    for module, name in ((copying, "_copy"), (multipart, "upload")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("it was written again"))
    any_store.put("a/b", source, sha256=SHA)


def test_bytes_of_another_hash_are_not_fetched(
    any_store: Store, source: Path, tmp_path: Path
) -> None:
    any_store.put("a/b", source, sha256=SHA)
    with pytest.raises(StoreError, match="expected 000"):
        any_store.fetch("a/b", tmp_path / "got", sha256="0" * 64)
    assert {path.name for path in tmp_path.iterdir()} <= {"source", "store", "home"}


def test_what_is_not_there_is_a_store_error(any_store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        any_store.open("no/such")
    with pytest.raises(StoreError):
        any_store.fetch("no/such", tmp_path / "got", sha256=SHA)


def test_eight_writers_of_one_key_at_once_leave_one_whole_file(store: Path, source: Path) -> None:
    errors: list[Exception] = []

    def write() -> None:
        try:
            LocalStore(store).put("k", source, sha256=SHA)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [path.read_bytes() for path in store.iterdir()] == [CONTENT]


def test_what_a_killed_writer_left_is_swept_and_what_is_in_use_stays(
    store: Path, source: Path
) -> None:
    store.mkdir()
    (store / "dead.part").write_bytes(b"half")
    with (store / "alive.part").open("wb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        LocalStore(store).check_room(1)
        assert [path.name for path in store.iterdir()] == ["alive.part"]


def test_stored_bytes_cannot_be_written_by_accident(store: Path, source: Path) -> None:
    LocalStore(store).put("k", source, sha256=SHA)
    assert (store / "k").stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize(
    "url", ["", "local:", "local:relative", "s3://", "ftp://x", "/just/a/path"]
)
def test_a_store_setting_that_makes_no_sense_is_refused(settings: Settings, url: str) -> None:
    settings.STORE_URL = url
    with pytest.raises(ImproperlyConfigured, match="expected local:"):
        get_store()


# ---- S3 ------------------------------------------------------------------------------------------


def test_a_large_file_goes_up_in_parts_and_comes_back(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (hashing, multipart):
        monkeypatch.setattr(module, "CHUNK_SIZE", 5 * 1024 * 1024)
    path = tmp_path / "large"
    path.write_bytes(os.urandom(17_000_001))
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    store = get_store()
    store.put("large", path, sha256=sha)
    store.fetch("large", tmp_path / "got", sha256=sha)
    assert store.size("large") == 17_000_001
    with pytest.raises(StoreError, match="nothing was kept"):
        store.put("wrong", path, sha256="0" * 64)
    assert store.size("wrong") is None


def test_an_endpoint_without_checksums_is_read_back(
    s3: S3, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = get_store()
    head = type(store)._head

    def without_checksum(self: Store, key: str) -> dict | None:
        found = head(self, key)
        return found and {k: v for k, v in found.items() if k != "ChecksumSHA256"}

    monkeypatch.setattr(type(store), "_head", without_checksum)
    store.put("a", source, sha256=SHA)
    source.write_bytes(CONTENT[::-1])
    assert not store._holds("a", hashing.hash_file(source))


def test_wrong_keys_and_a_store_that_is_down_are_store_errors(
    s3: S3, settings: Settings, source: Path
) -> None:
    settings.S3_SECRET_KEY = "wrong"
    with pytest.raises(StoreError, match=r"403|Signature|Forbidden"):
        get_store().put("a", source, sha256=SHA)
    settings.S3_ENDPOINT = "http://127.0.0.1:9"
    with pytest.raises(StoreError, match="did not answer"):
        get_store().size("a")


def _opens(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, b"", dict(error.headers)


@pytest.fixture
def s3_link(s3: S3, release: Release, folder: Path, alice: Account) -> str:
    revision = publish(folder, repo_id=release.repo_id, actor=None)
    artifact = revision.artifacts.get(path="consolidated.00.pth")
    return issue_link(artifact, grant=granted(alice, revision.release), actor=alice).url


def test_a_link_leads_to_the_store_for_two_minutes_and_for_one_file(
    s3_link: str, folder: Path
) -> None:
    answer = ask(s3_link)
    assert answer.status == 302
    url = answer.headers["Location"]
    assert "X-Amz-Expires=120" in url
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    content = (folder / "consolidated.00.pth").read_bytes()
    status, body, headers = _opens(url)
    assert (status, body) == (200, content)
    assert headers["Content-Disposition"] == 'attachment; filename="consolidated.00.pth"'
    row = Download.objects.latest("id")
    assert (row.outcome, row.bytes_asked) == (Download.Outcome.REDIRECTED, len(content))
    other = Artifact.objects.get(path="params.json").store_key
    mine = Artifact.objects.get(path="consolidated.00.pth").store_key
    assert _opens(url.replace(mine, other))[0] == 403
    assert _opens(url[:-1] + ("0" if url[-1] != "0" else "1"))[0] == 403


def test_the_range_that_is_counted_is_the_range_that_the_store_gives(
    s3_link: str, folder: Path
) -> None:
    """Who asks our door for ten bytes gets an address for these ten, and not for the whole file."""
    content = (folder / "consolidated.00.pth").read_bytes()
    url = ask(s3_link, range="bytes=10-19").headers["Location"]
    row = Download.objects.latest("id")
    assert (row.first_byte, row.bytes_asked, row.bytes_counted) == (10, 10, 10)
    assert _opens(url, Range="bytes=10-19")[:2] == (206, content[10:20])
    assert _opens(url)[0] == 403
    assert _opens(url, Range="bytes=0-")[0] == 403
    open_ended = ask(s3_link, range="bytes=5-").headers["Location"]
    assert _opens(open_ended, Range="bytes=5-")[:2] == (206, content[5:])


def test_curl_follows_to_the_store_with_its_range(
    s3_link: str, live: str, folder: Path, tmp_path: Path, run_curl
) -> None:
    content = (folder / "consolidated.00.pth").read_bytes()
    here = live + urlsplit(s3_link).path
    target = tmp_path / "got"
    target.write_bytes(content[:100])
    assert run_curl("-fL", "-C", "-", "-o", str(target), here).returncode == 0
    assert target.read_bytes() == content


# ---- CloudFront ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def from_cloudfront(text: str) -> bytes:
    """Base64 as CloudFront has it in addresses."""
    return base64.b64decode(text.replace("-", "+").replace("_", "=").replace("~", "/"))


def test_cloudfront_takes_the_place_of_the_bucket_with_a_signature_of_our_key(
    s3_link: str, settings: Settings, rsa_key: rsa.RSAPrivateKey
) -> None:
    settings.CLOUDFRONT_URL = "https://d111111abcdef8.cloudfront.net"
    settings.CLOUDFRONT_KEY_ID, settings.CLOUDFRONT_KEY = "K2JCJMDEHXQW5F", pem(rsa_key)
    url = ask(s3_link).headers["Location"]
    place = urlsplit(url)
    query = dict(parse_qsl(place.query))
    artifact = Artifact.objects.get(path="consolidated.00.pth")
    assert place.netloc == "d111111abcdef8.cloudfront.net"
    assert place.path.endswith(f"/{artifact.store_key}")
    assert query["Key-Pair-Id"] == "K2JCJMDEHXQW5F"
    assert 100 < int(query["Expires"]) - time.time() <= 120
    # What CloudFront does: the canned policy for this very address, against the public key.
    resource = url[: url.index("&Expires=")]
    condition = f'{{"DateLessThan":{{"AWS:EpochTime":{query["Expires"]}}}}}'
    policy = f'{{"Statement":[{{"Resource":"{resource}","Condition":{condition}}}]}}'
    signature = from_cloudfront(query["Signature"])
    verify = rsa_key.public_key().verify
    verify(signature, policy.encode(), padding.PKCS1v15(), hashes.SHA1())
    with pytest.raises(InvalidSignature):
        other = policy.replace(artifact.sha256, "0" * 64)
        verify(signature, other.encode(), padding.PKCS1v15(), hashes.SHA1())


def test_a_key_that_is_no_rsa_key_stops_with_its_name(s3: S3, settings: Settings) -> None:
    settings.CLOUDFRONT_URL, settings.CLOUDFRONT_KEY_ID = "https://d.cloudfront.net", "K1"
    for wrong in ("not a key", pem(ec.generate_private_key(ec.SECP256R1()))):
        settings.CLOUDFRONT_KEY = wrong
        with pytest.raises(ImproperlyConfigured, match="WEIGHBRIDGE_CLOUDFRONT_KEY"):
            get_store().presigned_url("a", filename="a", seconds=1)


def test_an_expired_url_of_the_store_opens_nothing(s3: S3, source: Path) -> None:
    get_store().put("a", source, sha256=SHA)
    url = get_store().presigned_url("a", filename="a", seconds=1)
    time.sleep(2.1)
    assert _opens(url)[0] == 403


def test_head_and_refusals_are_answered_at_our_own_door(s3_link: str, folder: Path) -> None:
    head = ask(s3_link, "HEAD")
    assert head.status == 200
    assert head.headers["Content-Length"] == str((folder / "consolidated.00.pth").stat().st_size)
    assert ask(s3_link, range="bytes=999999999-").status == 416
    Grant.objects.update(status=Grant.Status.SUSPENDED)
    assert ask(s3_link).status == 403


def test_clients_are_sent_to_the_public_name_of_the_store(s3_link: str, settings: Settings) -> None:
    settings.S3_PUBLIC_ENDPOINT = "https://weights.example.org"
    assert urlsplit(ask(s3_link).headers["Location"]).netloc == "weights.example.org"


def test_a_published_revision_is_brought_from_s3_to_a_folder(
    s3_link: str, folder: Path, tmp_path: Path
) -> None:
    target = materialise(Revision.objects.get(), tmp_path / "cache")
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_an_interrupted_fetch_goes_on(
    s3_link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    write = copying.write_checked

    def break_at_the_second(source, target, **kwargs):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(source, target, **kwargs)

    monkeypatch.setattr(s3_module, "write_checked", break_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        materialise(Revision.objects.get(), tmp_path / "cache")
    materialise(Revision.objects.get(), tmp_path / "cache")
    assert len(calls) == 4  # three files, one of them tried twice


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_bring_each_file_once(
    s3_link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[Path] = []
    write = copying.write_checked
    monkeypatch.setattr(
        s3_module,
        "write_checked",
        lambda source, target, **kwargs: (brought.append(target), write(source, target, **kwargs)),
    )
    folders: list[Path] = []

    def work() -> None:
        folders.append(materialise(Revision.objects.get(), tmp_path / "cache"))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert len(brought) == 3
