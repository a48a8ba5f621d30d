"""The proxy's template, filled in and started as a real nginx with a folder of its own."""

import getpass
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
EXECUTABLE = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def filled_in(template: str, values: dict[str, str]) -> str:
    """Replaces ${PROXY_…} alone, as NGINX_ENVSUBST_FILTER tells the image to."""
    return re.sub(r"\$\{(PROXY_\w+)\}", lambda found: values[found[1]], template)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: Path, port: int, tls: str = "", **values: str) -> Path:
    """Write a whole nginx.conf around the template; the server listens on loopback, on `port`."""
    (folder / "tls").mkdir()
    (folder / "logs").mkdir()
    if tls:
        (folder / "tls" / "site.conf").write_text(tls)
    site = filled_in(
        (DEPLOY / "nginx.conf.template").read_text(),
        {
            "PROXY_WEB": "127.0.0.1:1",
            "PROXY_S3": "127.0.0.1:1",
            "PROXY_BUCKET": "weighbridge-weights",
            "PROXY_SENDFILE": "/_store/",
            "PROXY_STORE": f"{folder}/store/",
            "PROXY_CORS_ORIGINS": "",
            **values,
        },
    )
    site = (
        site.replace("listen 8080", f"listen 127.0.0.1:{port}")
        .replace("/dev/stdout", f"{folder}/logs/access.log")
        .replace("/dev/stderr", f"{folder}/logs/error.log")
        .replace("/etc/nginx/tls", f"{folder}/tls")
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"user {getpass.getuser()};\ndaemon off;\npid {folder}/nginx.pid;\n"
        f"error_log {folder}/logs/error.log;\nevents {{}}\nhttp {{\n{temporary}{site}\n}}\n"
    )
    return file


@contextmanager
def running(file: Path, port: int) -> Iterator[str]:
    assert EXECUTABLE
    process = subprocess.Popen([EXECUTABLE, "-c", str(file), "-p", str(file.parent)])
    try:
        deadline = time.monotonic() + 10
        while True:
            assert process.poll() is None, (file.parent / "logs" / "error.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
