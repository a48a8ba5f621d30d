"""Start every process of a site, wait, and leave none behind.

The parts are the real ones: a Redis-protocol server (from a wheel), the ASGI web process, Celery workers and Beat. Each
writes its own log under WEIGHBRIDGE_HOME/log.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from demo import joining, redis_server, schema

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("WEIGHBRIDGE_HOME", ROOT / "var")).resolve()
RELEASE = "smollm2-135m"
PEOPLE = {
    "newcomer@demo.test": "has nothing yet: start here",
    "researcher@demo.test": "holds a grant for demo/smollm2-135m",
    "reviewer@demo.test": "reviews, in /admin/",
    "second-reviewer@demo.test": "reviews too",
    "manager@demo.test": "publishes, revokes, reads the log",
    "auditor@demo.test": "asks the log who could open what, and when",
    "operator@demo.test": "sees whether the site's parts are well",
}
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class StartError(Exception):
    """The site cannot start; the message says what to do."""


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _die_with_parent() -> None:
    """In the child: be told to stop when the supervisor is killed without a chance to say so (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One process of the site, and how to start it again."""

    process: subprocess.Popen[bytes]
    command: list[str]
    extra_env: dict[str, str]
    restarts: int = 0


class Site:
    def __init__(self, port: int) -> None:
        self.port = port
        self.children: dict[str, Child] = {}
        # A short path, for a unix socket's name has at most 107 characters.
        self.run_dir = Path(tempfile.mkdtemp(prefix="weighbridge-"))
        self.env = {
            **os.environ,
            "WEIGHBRIDGE_HOME": str(HOME),
            "WEIGHBRIDGE_DEMO": "1",
            "WEIGHBRIDGE_BASE_URL": f"http://127.0.0.1:{port}",
            "WEIGHBRIDGE_DTYPE": os.environ.get("WEIGHBRIDGE_DTYPE", "bfloat16"),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            # The operator's own servers replace the embedded ones by URL; DATABASE_URL is simply passed on.
            "REDIS_URL": os.environ.get("REDIS_URL") or f"unix://{self.run_dir / 'redis.sock'}",
            "PYTHONUNBUFFERED": "1",
        }

    def start(self) -> None:
        say(f"State lies in {HOME}")
        if schema.is_from_older_version(HOME):
            raise StartError(
                f"{HOME} was made by an older version, whose database this one cannot read: "
                "remove that folder, or set WEIGHBRIDGE_HOME to another one."
            )
        schema.write_stamp(HOME)
        joining.tell(HOME, self.env)
        if not os.environ.get("REDIS_URL"):
            self._start_redis()
        self._manage("migrate", "--verbosity", "0")
        self._manage("collectstatic", "--noinput", "--verbosity", "0")
        say("Making the demo (the first time, the model is written and published: under a minute)")
        self._manage("make_demo")
        celery = [sys.executable, "-m", "celery", "-A", "portal"]
        worker = [
            *celery,
            "worker",
            "--loglevel",
            "INFO",
            "--pool",
            "threads",
            "--without-mingle",
            "--without-gossip",
        ]
        self._spawn("worker", [*worker, "-Q", "default", "-c", "4", "-n", "default@%h"])
        self._spawn(
            "engine",
            [*worker, "-Q", f"model.{RELEASE}", "-c", "64", "-n", "engine@%h"],
            # The site needs a core too: threads of the engine that wait for one another are slower
            # than fewer of them (benchmarks/RESULTS.md, two hundred readers).
            OMP_NUM_THREADS=str(max(1, (os.cpu_count() or 2) - 1)),
        )
        self._spawn(
            "beat",
            [
                *celery,
                "beat",
                "--loglevel",
                "INFO",
                "--schedule",
                str(self.run_dir / "beat"),
                "--pidfile=",
            ],
        )
        self._spawn(
            "web",
            [
                sys.executable,
                "-m",
                "uvicorn",
                "portal.asgi:application",
                "--http",
                "portal.sendfile:Protocol",
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--lifespan",
                "off",
                "--no-proxy-headers",
                "--timeout-graceful-shutdown",
                "3",
            ],
        )
        self._wait_for_web()

    def watch(self) -> None:
        """Stay in the foreground; a process that dies by itself is started again, and it is said."""
        while True:
            time.sleep(0.5)
            for name, child in list(self.children.items()):
                if (code := child.process.poll()) is None:
                    continue
                if name == "redis" or child.restarts >= 5:
                    raise StartError(f"{name} ended with {code}; see {HOME}/log/{name}.log")
                say(f"{name} ended with {code}; starting it again (see {HOME}/log/{name}.log)")
                time.sleep(1)
                self._spawn(name, child.command, **child.extra_env).restarts = child.restarts + 1

    def stop(self) -> None:
        """Ask everybody to stop, web first and Redis last; after ten seconds, insist."""
        for name in reversed(list(self.children)):
            if name != "redis":
                _signal_group(self.children[name].process, signal.SIGTERM)
        deadline = time.monotonic() + 10
        for name in reversed(list(self.children)):
            child = self.children[name].process
            if name == "redis":
                _signal_group(child, signal.SIGTERM)
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(child, signal.SIGKILL)
                child.wait()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def _start_redis(self) -> None:
        try:
            executable = redis_server.executable()
        except redis_server.NoRedisServer as error:
            raise StartError(str(error)) from error
        data = HOME / "redis"
        data.mkdir(parents=True, exist_ok=True)
        socket_path = self.run_dir / "redis.sock"
        self._spawn(
            "redis",
            [
                executable,
                "--port",
                "0",
                "--unixsocket",
                str(socket_path),
                "--unixsocketperm",
                "700",
                "--dir",
                str(data),
                "--save",
                "",
                "--appendonly",
                "yes",
            ],
        )
        self._wait(socket_path.exists, "redis", 10)

    def _spawn(self, name: str, command: list[str], **extra_env: str) -> Child:
        (HOME / "log").mkdir(parents=True, exist_ok=True)
        with (HOME / "log" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.env, **extra_env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops them in order
                preexec_fn=_die_with_parent,
            )
        self.children[name] = Child(process, command, extra_env)
        return self.children[name]

    def _manage(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.env, stdout=sys.stderr
        )
        if done.returncode:
            raise StartError(f"manage.py {arguments[0]} failed (see above)")

    def _wait(self, ready: Callable[[], bool], name: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if self.children[name].process.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"{name} did not start; see {HOME}/log/{name}.log")
            time.sleep(0.05)

    def _wait_for_web(self) -> None:
        def answers() -> bool:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.port}/healthz", timeout=2
                ) as response:
                    return bool(response.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        self._wait(answers, "web", 60)


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return


def _lock() -> IO[str]:
    """One demo per home; a second one is told so."""
    HOME.mkdir(parents=True, exist_ok=True)
    file = (HOME / joining.LOCK).open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StartError(
            f"A demo already runs on {HOME}. Stop it, or set WEIGHBRIDGE_HOME to another folder."
        ) from None
    return file


def _port() -> int:
    text = os.environ.get("WEIGHBRIDGE_PORT", "8000")
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise StartError(f"WEIGHBRIDGE_PORT must be a port number, not {text!r}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError:
            raise StartError(
                f"Port {text} is taken. Set WEIGHBRIDGE_PORT to another one."
            ) from None
    return int(text)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    # SIGINT too: a shell that starts us in the background hands it down ignored, and Python then leaves it so.
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)
    site = None
    try:
        lock = _lock()
        site = Site(_port())
        site.start()
        _introduce(site.port)
        site.watch()
    except KeyboardInterrupt:
        say("Stopping")
        return 0
    except StartError as error:
        say(str(error))
        return 1
    finally:
        if site:
            for number in STOP_SIGNALS:
                signal.signal(
                    number, signal.SIG_IGN
                )  # a second Ctrl-C must not leave processes behind
            site.stop()
    lock.close()
    return 0


def _introduce(port: int) -> None:
    say("")
    for email, what in PEOPLE.items():
        say(f"  {email:<28} {what}")
    say("  password of all: weighbridge-demo\n")
    print(f"ready http://127.0.0.1:{port}", flush=True)
