"""Where a message may go, how it is signed, and how long it may take."""

import importlib.util
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from portal.accounts.models import Account
from portal.webhooks import sending, services, signing
from portal.webhooks.models import Subscription
from tests.portal.webhooks.conftest import Clock
from tests.portal.webhooks.receiver import Receiver, status
from tests.serving import serving

ROOT = Path(__file__).resolve().parents[3]


def of_the_page() -> Any:
    """The same lines as they stand on the page itself."""
    text = (ROOT / "docs" / "managers" / "webhooks.md").read_text()
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    return names["verify"]


def of_the_handbook() -> Any:
    path = ROOT / "docs" / "managers" / "verify_webhook.py"
    spec = importlib.util.spec_from_file_location("verify_webhook", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.verify


# ---- signature -------------------------------------------------------------------------------------


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    made = signing.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.django_db
@pytest.mark.parametrize("source", [of_the_handbook, of_the_page])
def test_a_receiver_checks_a_message_with_the_handbooks_twenty_lines(
    receiver: Receiver, manager: Account, source: Callable[[], Any]
) -> None:
    hook, secret = services.subscribe(actor=manager, name="T", url=receiver.url, verbs=[])
    services.ping(hook.pk, actor=manager)
    [(headers, body)] = receiver.seen
    verify = source()
    assert verify(secret, headers, body)
    assert not verify(secret, headers, body + b" ")
    assert not verify(signing.new_secret(), headers, body)
    assert not verify(secret, {**headers, "webhook-id": "msg_other"}, body)
    old = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 301)}
    old["webhook-signature"] = signing.signature(
        secret, headers["webhook-id"], int(old["webhook-timestamp"]), body
    )
    assert not verify(secret, old, body), "signed well, but too old"


@pytest.mark.django_db
def test_after_a_rotation_both_secrets_sign_for_a_day(
    receiver: Receiver, manager: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: clock.now.timestamp())
    hook, old = services.subscribe(actor=manager, name="T", url=receiver.url, verbs=[])
    _, new = services.rotate(hook.pk, actor=manager)
    verify = of_the_handbook()
    services.ping(hook.pk, actor=manager)
    assert verify(old, *receiver.seen[-1])
    assert verify(new, *receiver.seen[-1])
    clock.forward(hours=24, seconds=1)
    services.ping(hook.pk, actor=manager)
    assert not verify(old, *receiver.seen[-1])
    assert verify(new, *receiver.seen[-1])


@pytest.mark.django_db
def test_a_secret_is_not_in_the_database_and_outlives_a_new_key_with_a_fallback(
    receiver: Receiver, manager: Account, settings: Settings
) -> None:
    hook, secret = services.subscribe(actor=manager, name="T", url=receiver.url, verbs=[])
    assert secret not in str(Subscription.objects.values().get())
    former = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = (
        "another key of more than 32 signs",
        [former],
    )
    assert signing.opened(hook.secret) == secret
    settings.SECRET_KEY_FALLBACKS = []
    attempt = services.ping(hook.pk, actor=manager)
    assert "rotate the secret" in attempt.error
    assert receiver.seen == []
    services.rotate(hook.pk, actor=manager)
    assert not services.ping(hook.pk, actor=manager).error


# ---- where to --------------------------------------------------------------------------------------

INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.9",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fd00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused_as_it_is_typed_and_as_it_is_resolved(
    address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.WEBHOOK_NETWORKS == []
    host = f"[{address}]" if ":" in address else address
    assert "not a public address" in sending.why_not(f"https://{host}/hook")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it connected"))
    assert "not a public address" in sending.post("https://innocent.example/", b"{}", {}).error


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_a_public_address_is_allowed(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert sending.why_not(f"https://{host}/hook") == ""


@pytest.mark.parametrize("name", ["localhost", "2130706433", "0x7f.1", "127.1"])
def test_other_spellings_of_this_machine_are_refused_where_they_resolve(
    name: str, receiver: Receiver, settings: Settings
) -> None:
    settings.WEBHOOK_NETWORKS = []
    answer = sending.post(f"http://{name}:{receiver.server.server_port}/", b"{}", {})
    assert answer.error
    assert answer.status is None
    assert receiver.seen == []


def test_one_address_inside_among_several_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def entry(address: str) -> tuple:
        return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))

    both = [entry("93.184.216.34"), entry("10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: both)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it connected"))
    assert "10.0.0.1" in sending.post("https://innocent.example/", b"{}", {}).error


def test_the_name_is_resolved_once_and_the_checked_address_is_the_one_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers differently the second time changes nothing."""
    port = receiver.server.server_port
    answers = [[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answers.pop())
    assert sending.post(f"http://rebinds.example:{port}/", b"{}", {}).is_ok
    assert receiver.seen[0][0]["host"] == f"rebinds.example:{port}"
    assert answers == []


def test_an_operator_can_allow_a_network_and_no_other(settings: Settings) -> None:
    settings.WEBHOOK_NETWORKS = [ip_network("10.1.0.0/16")]
    assert sending.why_not("https://10.1.2.3/") == ""
    assert sending.why_not("https://10.2.2.3/") != ""


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example/",
        "ftp://public.example/",
        "https://",
        "https:///hook",
        "public.example",
        "https://user:secret@public.example/",
        "https://public.example/#part",
        "https://public.example/a b",
        "https://public.example/\r\nX-Evil: 1",
        "https://public.example:port/",
        "https://public.example:0/",
        "https://[::1",
        "https://zürich.example/",
    ],
)
def test_an_odd_address_is_refused(url: str) -> None:
    assert sending.why_not(url)
    assert sending.post(url, b"{}", {}).error


def test_https_to_a_name_is_accepted_and_http_in_the_demo_alone(settings: Settings) -> None:
    assert sending.why_not("https://public.example:8443/hook?a=1") == ""
    settings.WEBHOOK_HTTP = True
    assert sending.why_not("http://public.example/") == ""


# ---- how it answers --------------------------------------------------------------------------------


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answer = status(302, Location=f"{receiver.url}/elsewhere")
    answer = sending.post(receiver.url, b"{}", {})
    assert answer.status == 302
    assert "not followed" in answer.error
    assert len(receiver.seen) == 1


@pytest.mark.parametrize("number", [199 + 1, 201, 204, 299])
def test_two_hundreds_mean_received(receiver: Receiver, number: int) -> None:
    receiver.answer = status(number)
    assert sending.post(receiver.url, b"{}", {}).is_ok


@pytest.mark.parametrize("number", [304, 400, 404, 410, 429, 500, 503])
def test_all_else_does_not(receiver: Receiver, number: int) -> None:
    receiver.answer = status(number)
    answer = sending.post(receiver.url, b"{}", {})
    assert (answer.status, answer.is_ok) == (number, False)


def test_the_first_bytes_of_the_answer_are_kept(receiver: Receiver) -> None:
    receiver.answer = status(200, "né\0" + "x" * 5_000_000)
    answer = sending.post(receiver.url, b"{}", {})
    assert answer.text.startswith("né")
    assert "\0" not in answer.text
    assert len(answer.text.encode()) < 520


def drip(request: BaseHTTPRequestHandler, _: int) -> None:
    for _ in range(400):
        request.wfile.write(b"X")
        request.wfile.flush()
        time.sleep(0.05)


def test_an_answer_that_drips_is_cut_off(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 0.4)
    receiver.answer = drip
    began = time.monotonic()
    answer = sending.post(receiver.url, b"{}", {})
    assert time.monotonic() - began < 10
    assert "Too slow" in answer.error


def test_a_name_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "RESOLVE_SECONDS", 0.2)
    asked_again = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: asked_again.wait(30))
    began = time.monotonic()
    assert "Too slow" in sending.post("https://slow.example/", b"{}", {}).error
    assert time.monotonic() - began < 10
    asked_again.set()


@pytest.fixture
def tls(receiver: Receiver, tmp_path: Path) -> Any:
    """An https server for `localhost`, whose certificate nobody knows."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=localhost -addext subjectAltName=DNS:localhost -out {cert} -keyout {key}",
        shell=True,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = HTTPServer(("127.0.0.1", 0), receiver.server.RequestHandlerClass)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    with serving(server):
        yield server.server_port, cert


def test_the_certificate_is_checked(
    tls: tuple[int, Path], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, cert = tls
    assert "certificate is not good" in sending.post(f"https://localhost:{port}/", b"{}", {}).error
    assert receiver.seen == []
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    assert sending.post(f"https://localhost:{port}/", b"{}", {}).is_ok
    wrong_name = sending.post(f"https://127.0.0.1:{port}/", b"{}", {})
    assert "certificate is not good" in wrong_name.error
    assert len(receiver.seen) == 1


def test_a_handshake_that_never_ends_is_cut_off(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert "Too slow" in sending.post(url, b"{}", {}).error
        assert time.monotonic() - began < 10


def test_now_is_the_time_of_the_attempt(clock: Clock) -> None:
    made = signing.headers("msg_1", int(timezone.now().timestamp()), b"", [signing.new_secret()])
    assert made["webhook-timestamp"] == str(int(clock.now.timestamp()))
