"""The proxy, as a real nginx in front of a small server that says what it was asked."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from django.urls import resolve

from access_requests.admin import lists
from access_requests.files import ATTACHMENT_LIMIT
from distribution import admin as networks
from portal.body_limits import UPLOADS, limit_of
from portal.secret_paths import SECRET_PATHS
from tests.deploy import nginx
from tests.serving import serving
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    nginx.EXECUTABLE is None, reason="needs nginx: apt-get install nginx"
)

EXAMPLES = Path(nginx.DEPLOY) / "tls"


class Upstream(BaseHTTPRequestHandler):
    """Stands where the web service and the store stand, and echoes what reaches it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.endswith("/stream/"):
            self._trickle()
        elif self.path.startswith("/download/"):
            headers = {"ETag": '"abcd"', "Content-Disposition": 'attachment; filename="x.pth"'}
            if origin := self.headers.get("Origin"):  # the site's setting allows all
                headers |= {ALLOW_ORIGIN: origin, "Access-Control-Expose-Headers": "ETag"}
            self._answer(b"", {**headers, "X-Accel-Redirect": "/_store/sha256/ab/abcd"})
        else:
            seen = {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}
            # Some stores let every page read what a signature opens.
            self._answer(json.dumps(seen).encode(), {ALLOW_ORIGIN: "*"})

    do_PUT = do_DELETE = do_GET

    def _answer(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in ("one", "two"):
            self.wfile.write(f"data: {word}\n\n".encode())
            time.sleep(0.6)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    with serving(server):
        yield f"127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "store" / "sha256" / "ab").mkdir(parents=True)
    (folder / "store" / "sha256" / "ab" / "abcd").write_bytes(b"the weights")
    return folder


@pytest.fixture(scope="module")
def proxy(folder: Path, upstream: str) -> Iterator[httpx.Client]:
    port = nginx.free_port()
    file = nginx.configuration(folder, port, PROXY_WEB=upstream, PROXY_S3=upstream)
    with nginx.running(file, port) as url, httpx.Client(base_url=url) as client:
        yield client


def seen(answer: httpx.Response) -> dict[str, str]:
    """The headers that reached the server behind the proxy."""
    return answer.json()["headers"]


def checked(folder: Path, tls: str = "") -> str:
    """What `nginx -t` says of the configuration; empty when it is well."""
    assert nginx.EXECUTABLE
    file = nginx.configuration(folder, nginx.free_port(), tls)
    done = subprocess.run(
        [nginx.EXECUTABLE, "-t", "-q", "-c", str(file), "-p", str(folder)],
        capture_output=True,
        text=True,
    )
    return done.stderr if done.returncode else ""


def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    assert checked(tmp_path) == ""


def test_nginx_accepts_tls_that_ends_before_it(tmp_path: Path) -> None:
    assert checked(tmp_path, (EXAMPLES / "before.conf.example").read_text()) == ""


def test_nginx_accepts_tls_that_ends_in_it(tmp_path: Path) -> None:
    certificate, key = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=portal.example",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    tls = (EXAMPLES / "here.conf.example").read_text()
    tls = tls.replace("/etc/nginx/tls", str(tmp_path)).replace("8443", str(nginx.free_port()))
    assert checked(tmp_path, tls) == ""


def test_nginx_refuses_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    tls = (EXAMPLES / "here.conf.example").read_text().replace("/etc/nginx/tls", str(tmp_path))
    assert "fullchain.pem" in checked(tmp_path, tls)


def test_the_site_is_asked_under_the_name_that_the_visitor_typed(proxy: httpx.Client) -> None:
    answer = proxy.get("/releases/?q=1", headers={"Host": "portal.example"})
    assert answer.json()["path"] == "/releases/?q=1"
    assert seen(answer)["host"] == "portal.example"


def test_what_a_visitor_claims_about_themselves_does_not_pass(proxy: httpx.Client) -> None:
    claims = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Request-Id": "mine",
    }
    passed = seen(proxy.get("/", headers=claims))
    assert passed["x-forwarded-for"] == "127.0.0.1"
    assert passed["x-forwarded-proto"] == "http"
    assert len(passed["x-request-id"]) == 32


def test_tls_before_the_proxy_makes_the_site_believe_in_https(
    tmp_path: Path, upstream: str
) -> None:
    tls = (EXAMPLES / "before.conf.example").read_text().replace("10.0.0.0/8", "127.0.0.1")
    port = nginx.free_port()
    file = nginx.configuration(tmp_path, port, tls, PROXY_WEB=upstream)
    with nginx.running(file, port) as url:
        passed = seen(httpx.get(url, headers={"X-Forwarded-For": "203.0.113.9"}))
    assert passed["x-forwarded-proto"] == "https"
    assert passed["x-forwarded-for"] == "203.0.113.9"


def test_the_first_token_of_a_stream_does_not_wait_for_the_second(proxy: httpx.Client) -> None:
    with proxy.stream("GET", "/sandbox/runs/1/stream/") as answer:
        start = time.monotonic()
        assert next(answer.iter_text()) == "data: one\n\n"
        assert time.monotonic() - start < 0.5


def test_a_checked_link_of_a_local_store_is_served_by_the_proxy_with_ranges(
    proxy: httpx.Client,
) -> None:
    answer = proxy.get("/download/token/consolidated.00.pth", headers={"Range": "bytes=4-"})
    assert (answer.status_code, answer.text) == (206, "weights")


def test_a_resumed_download_goes_on_only_if_the_file_is_still_the_same(
    proxy: httpx.Client,
) -> None:
    def resumed(tag: str) -> httpx.Response:
        headers = {"Range": "bytes=4-", "If-Range": tag}
        return proxy.get("/download/token/consolidated.00.pth", headers=headers)

    same = resumed('"abcd"')
    assert (same.status_code, same.text, same.headers["ETag"]) == (206, "weights", '"abcd"')
    assert same.headers["Content-Disposition"] == 'attachment; filename="x.pth"'
    assert resumed('"other"').status_code == 200
    assert resumed('"other"').text == "the weights"


def test_the_local_store_opens_to_no_visitor(proxy: httpx.Client) -> None:
    assert proxy.get("/_store/sha256/ab/abcd").status_code == 404


def test_the_store_gets_the_signature_and_neither_cookie_nor_token(proxy: httpx.Client) -> None:
    answer = proxy.get(
        "/weighbridge-weights/sha256/ab/abcd?X-Amz-Signature=1",
        headers={"Host": "portal.example", "Cookie": "sessionid=1", "Authorization": "Bearer wb_1"},
    )
    assert answer.json()["path"] == "/weighbridge-weights/sha256/ab/abcd?X-Amz-Signature=1"
    assert seen(answer)["host"] == "portal.example"
    assert not {"cookie", "authorization"} & seen(answer).keys()
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_nobody_writes_to_the_store_from_outside(proxy: httpx.Client, method: str) -> None:
    assert proxy.request(method, "/weighbridge-weights/sha256/ab/abcd").status_code == 403


APP = "https://app.example.org"
ALLOW_ORIGIN = "Access-Control-Allow-Origin"
FILE = "/weighbridge-weights/sha256/ab/abcd"
PREFLIGHT = {"Access-Control-Request-Method": "GET"}


def test_no_page_of_another_origin_reads_the_store_whatever_the_store_says(
    proxy: httpx.Client,
) -> None:
    answer = proxy.get(FILE, headers={"Origin": APP})
    assert answer.status_code == 200
    assert not any(
        name.startswith("access-control-") for name in answer.headers if "origin" in name
    )
    assert proxy.options(FILE, headers={"Origin": APP, **PREFLIGHT}).status_code == 403


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        (APP, True),
        (f"http://localhost:5173,{APP}", True),
        (f"http://localhost:5173, {APP}, https://b.org", True),
        ("*", True),
        (f"{APP}:8443,https://my-app.example.org,{APP}.evil.org", False),
        ("https://appxexample.org", False),
    ],
)
def test_the_setting_opens_the_store_to_pages_of_these_origins(
    tmp_path: Path, upstream: str, origins: str, allowed: bool
) -> None:
    port = nginx.free_port()
    file = nginx.configuration(
        tmp_path, port, PROXY_WEB=upstream, PROXY_S3=upstream, PROXY_CORS_ORIGINS=origins
    )
    with nginx.running(file, port) as url, httpx.Client(base_url=url) as client:
        asked = client.options(FILE, headers={"Origin": APP, **PREFLIGHT})
        answer = client.get(FILE, headers={"Origin": APP})
        assert answer.status_code == 200
        if not allowed:
            assert asked.status_code == 403
            assert ALLOW_ORIGIN not in answer.headers
            return
        assert asked.status_code == 204
        assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
        for each in (asked, answer):
            assert each.headers.get_list(ALLOW_ORIGIN) == [APP]
            assert "Access-Control-Allow-Credentials" not in each.headers
        assert ALLOW_ORIGIN not in client.get(FILE).headers, "no page of another origin"


def test_a_file_of_a_local_store_says_who_may_read_it_as_the_site_does(
    proxy: httpx.Client,
) -> None:
    answer = proxy.get("/download/token/consolidated.00.pth", headers={"Origin": APP})
    assert answer.text == "the weights"
    assert answer.headers.get_list(ALLOW_ORIGIN) == [APP]
    assert answer.headers["Access-Control-Expose-Headers"] == "ETag"


MIB = 2**20
LOADING = "/admin/{}/load/"


PROMISED = {
    "/api/v1/applications/7/attachments/plan/": ATTACHMENT_LIMIT,
    # Several questions may each want a file.
    "/applications/7/edit/": 12 * ATTACHMENT_LIMIT,
    "/applications/new/llama/": 12 * ATTACHMENT_LIMIT,
    LOADING.format("access_requests/evidencelist"): lists.MOST_BYTES,
    LOADING.format("access_requests/evidencelist") + "ror/": lists.MOST_BYTES,
    LOADING.format("distribution/networklist"): networks.MOST_BYTES,
}


@pytest.mark.parametrize("path", PROMISED)
def test_what_the_pages_promise_to_take_passes_proxy_and_site(
    proxy: httpx.Client, path: str
) -> None:
    resolve(path)  # an address of the site
    size = PROMISED[path] + 64 * 1024  # the form around the file
    assert size <= limit_of(path)
    assert answer_to_a_body_of(size, proxy, path) == 100


@pytest.mark.parametrize("path", [*PROMISED, "/account/", "/v1/completions"])
def test_the_proxy_takes_what_the_site_itself_would_take(proxy: httpx.Client, path: str) -> None:
    assert answer_to_a_body_of(limit_of(path), proxy, path) == 100


def test_every_address_of_uploads_is_among_these() -> None:
    for pattern, _ in UPLOADS:
        assert any(pattern.match(path) for path in PROMISED), pattern.pattern


def test_a_body_that_no_page_takes_is_refused_by_the_proxy(proxy: httpx.Client) -> None:
    for path, size in (("/account/", 11 * MIB), ("/applications/7/edit/", 65 * MIB)):
        assert answer_to_a_body_of(size, proxy, path) == 413
    assert answer_to_a_body_of(102 * MIB, proxy, LOADING.format("distribution/networklist")) == 413


def answer_to_a_body_of(size: int, proxy: httpx.Client, path: str) -> int:
    """The status with which nginx meets the length alone: 100 is "go on and send it"."""
    address = (proxy.base_url.host, proxy.base_url.port)
    with socket.create_connection(address, timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: portal.example\r\nExpect: 100-continue\r\n"
        connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
        return int(connection.recv(64).split()[1])


def test_the_log_holds_no_link_that_opens_and_no_query(proxy: httpx.Client, folder: Path) -> None:
    for path in SECRET_PATHS:
        for spelled in (
            path,
            f"/x/..{path}",
            path.replace("/", "%2F"),
            f"/%{ord(path[1]):x}{path[2:]}",
        ):
            proxy.get(f"{spelled}opensesame/params.json", headers={"Referer": f"{path}opensesame"})
        proxy.get(f"/account/login/?next={path}opensesame/")
    proxy.get("/weighbridge-weights/x?X-Amz-Signature=opensesame")
    file = folder / "logs" / "access.log"
    until(lambda: "/weighbridge-weights/x" in file.read_text(), 10)  # written after the answer
    log = file.read_text()
    for path in SECRET_PATHS:
        assert f'GET {path}..."' in log
    assert '/account/login/?..."' in log
    assert "/weighbridge-weights/x?..." in log
    assert "opensesame" not in log


def test_nor_does_the_log_of_errors(tmp_path: Path) -> None:
    """nginx quotes the whole request there, and the page that led to it."""
    port = nginx.free_port()
    dead = f"127.0.0.1:{nginx.free_port()}"
    with nginx.running(nginx.configuration(tmp_path, port, PROXY_WEB=dead), port) as url:
        for path in SECRET_PATHS:
            address = f"{url}{path}opensesame/"
            assert httpx.get(address, headers={"Referer": address}).status_code == 502
            assert httpx.post(address, content=b"x" * (11 << 20)).status_code == 413
    assert "opensesame" not in (tmp_path / "logs" / "error.log").read_text()
    assert '" 502 ' in (tmp_path / "logs" / "access.log").read_text()
