"""deploy/entrypoint.sh: the first word chooses the role.

The programs that it starts are replaced by one that says how it was called.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.serving import serving

ROOT = Path(__file__).resolve().parents[2]
ENTRYPOINT = ROOT / "deploy" / "entrypoint.sh"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def entrypoint(tmp_path: Path) -> Run:
    for name in ("uvicorn", "celery", "python"):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "$(basename "$0") $*"\n')
        program.chmod(0o755)

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            [str(ENTRYPOINT), *arguments],
            env={"PATH": path, **environment},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize("script", ["entrypoint.sh", "s3-init.sh"])
def test_the_scripts_are_well_formed_and_executable(script: str) -> None:
    path = ROOT / "deploy" / script
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("arguments", [["wbe"], []])
def test_an_unknown_or_missing_role_is_refused_with_a_list_of_roles(
    entrypoint: Run, arguments: list[str]
) -> None:
    done = entrypoint(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    for role in ("web", "worker", "gpu-worker", "engine-worker", "beat", "migrate", "manage"):
        assert role in done.stderr.split()


def test_web_leaves_the_headers_of_proxies_to_the_site_and_does_not_migrate(
    entrypoint: Run,
) -> None:
    said = entrypoint("web").stdout
    assert said.startswith(
        "uvicorn portal.asgi:application --host 0.0.0.0 --port 8000 --http portal.sendfile:Protocol --no-proxy-headers"
    )
    assert said.count("\n") == 1


def test_the_worker_takes_mail_and_sweeps_alone(entrypoint: Run) -> None:
    assert "celery -A portal worker -Q default " in entrypoint("worker").stdout


def test_the_gpu_worker_takes_the_queue_of_its_release_with_more_threads_than_slots(
    entrypoint: Run,
) -> None:
    said = entrypoint("gpu-worker", WEIGHBRIDGE_RELEASE="llama-7b", WEIGHBRIDGE_TASKS="16").stdout
    assert "-Q model.llama-7b " in said
    assert "--pool threads --concurrency 16" in said
    unsaid = entrypoint("gpu-worker", WEIGHBRIDGE_RELEASE="llama-7b").stdout
    assert "--pool threads --concurrency 64" in unsaid


def test_the_worker_without_a_gpu_takes_the_same_queue(entrypoint: Run) -> None:
    roles = [
        entrypoint(role, WEIGHBRIDGE_RELEASE="llama-7b") for role in ("gpu-worker", "engine-worker")
    ]
    assert roles[0].stdout == roles[1].stdout


@pytest.mark.parametrize("environment", [{}, {"WEIGHBRIDGE_RELEASE": ""}])
def test_a_gpu_worker_without_a_release_is_refused(
    entrypoint: Run, environment: dict[str, str]
) -> None:
    done = entrypoint("gpu-worker", **environment)
    assert (done.returncode, done.stdout) == (64, "")
    assert "WEIGHBRIDGE_RELEASE" in done.stderr


def test_manage_passes_its_words_on_as_they_are(entrypoint: Run) -> None:
    assert entrypoint("manage", "publish", "a b").stdout == "python manage.py publish a b\n"
    assert entrypoint("migrate").stdout == "python manage.py migrate --noinput\n"


def test_a_role_ends_as_its_program_ends(entrypoint: Run, tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexit 3\n")
    assert entrypoint("manage", "check").returncode == 3


def test_the_procfile_names_roles_that_exist(entrypoint: Run) -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    processes = dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))
    assert list(processes) == ["web", "worker", "engine", "beat"]
    for command in processes.values():
        *assignments, script, role = shlex.split(command)
        environment = dict(pair.split("=", 1) for pair in assignments)
        assert script == "deploy/entrypoint.sh"
        assert entrypoint(role, WEIGHBRIDGE_RELEASE="llama-7b", **environment).returncode == 0


# ---- deploy/health.py ----------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[HTTPServer]:
    """Answers as Django does: 200 under its own name, 400 under any other."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers["Host"] == "portal.example" else 400)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Site)
    with serving(server):
        yield server


def health(port: int, base_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "health.py"), f"http://127.0.0.1:{port}/healthz"],
        env={"WEIGHBRIDGE_BASE_URL": base_url},
        capture_output=True,
        text=True,
    )


def test_the_health_check_asks_under_the_name_of_the_site(site: HTTPServer) -> None:
    assert health(site.server_port, "https://portal.example").returncode == 0


def test_the_health_check_says_what_is_wrong(site: HTTPServer) -> None:
    done = health(site.server_port, "https://other.example")
    assert done.returncode == 1
    assert "answered 400" in done.stderr
    site.shutdown()
    site.server_close()
    done = health(site.server_port, "https://portal.example")
    assert done.returncode == 1
    assert "does not answer" in done.stderr
