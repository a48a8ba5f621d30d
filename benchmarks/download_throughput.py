"""Does the local store keep up with nginx, with and without a proxy in front, and is its memory flat?

    python benchmarks/download_throughput.py [--megabytes 1000] [--rounds 5]

One file over loopback, by curl to /dev/null, 1 and 16 at a time, in turns: nginx's sendfile on the plain file; the web
process alone; the same in chunks (a server without our protocol); and nginx in front of the web process
(X-Accel-Redirect, the template of deploy/). Needs nginx and curl.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
HOME = Path(tempfile.mkdtemp(prefix="wb-bench-"))
os.environ |= {
    "WEIGHBRIDGE_HOME": str(HOME),
    "DJANGO_SETTINGS_MODULE": "portal.settings",
    "WEIGHBRIDGE_LOG_LEVEL": "WARNING",
    "WEIGHBRIDGE_TRANSFERS": "1000",
}

import django  # noqa: E402

django.setup()
from django.core.management import call_command  # noqa: E402

from benchmarks import fixtures_of_downloads as fixtures  # noqa: E402
from distribution.services import issue_link  # noqa: E402
from portal.accounts.models import Account  # noqa: E402
from tests.deploy import nginx  # noqa: E402

SHA = "a" * 64
CLIENTS = (1, 16)


def web(port: int, *arguments: str, **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--port", str(port)]
    command += ["--no-access-log", "--lifespan", "off", "--log-level", "warning", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | environment)


def plain_nginx(folder: Path, port: int, root: Path) -> subprocess.Popen:
    folder.mkdir()
    file = folder / "nginx.conf"
    file.write_text(
        f"user root; daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error; events {{}} "
        f"http {{ access_log off; sendfile on; tcp_nopush on; server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
    )
    return subprocess.Popen([str(nginx.EXECUTABLE), "-c", str(file), "-p", str(folder)])


def memory(pid: int) -> float:
    """MB that only this process holds, and that are in memory."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kept = [line.split() for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))]
    return sum(int(line[1]) for line in kept) / 1000


def fetched(url: str, clients: int, watch: int | None = None) -> tuple[float, float]:
    """GB/s of all clients together, and the most memory of the watched process meanwhile."""
    began, most = time.perf_counter(), 0.0
    line = ["curl", "-sSf", "-o", "/dev/null", url]
    running = [subprocess.Popen(line) for _ in range(clients)]
    while any(process.poll() is None for process in running):
        if watch:
            most = max(most, memory(watch))
        time.sleep(0.05)
    assert not any(process.returncode for process in running), "curl failed"
    return clients * SIZE / (time.perf_counter() - began) / 1e9, most


def ready(url: str) -> None:
    for _ in range(200):
        if subprocess.run(["curl", "-sf", "-o", "/dev/null", url]).returncode == 0:
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} did not answer")


def main(rounds: int) -> None:
    call_command("migrate", verbosity=0)
    store = HOME / "store"
    file = fixtures.in_store(store, SHA, SIZE)
    revision = fixtures.published({"big.bin": (SIZE, SHA)})
    account = Account.objects.create_user("bench@lab.test", "x", name="Bench")
    artifact = revision.artifacts.get()
    link = issue_link(artifact, grant=fixtures.granted(account, revision.release), actor=account)
    path = link.url.split("/download/")[1]
    ports = {name: nginx.free_port() for name in ("plain", "alone", "chunks", "behind", "proxy")}
    ours = ("--http", "portal.sendfile:Protocol")
    (HOME / "proxy").mkdir()
    conf = nginx.configuration(
        HOME / "proxy",
        ports["proxy"],
        PROXY_WEB=f"127.0.0.1:{ports['behind']}",
        PROXY_STORE=f"{store}/",
    )
    servers = {
        "plain": plain_nginx(HOME / "plain", ports["plain"], file.parent),
        "alone": web(ports["alone"], *ours),
        "chunks": web(ports["chunks"]),
        "behind": web(ports["behind"], *ours, WEIGHBRIDGE_SENDFILE_LOCATION="/_store/"),
        "proxy": subprocess.Popen([str(nginx.EXECUTABLE), "-c", str(conf), "-p", str(conf.parent)]),
    }
    try:
        for name in ("alone", "chunks", "proxy"):
            ready(f"http://127.0.0.1:{ports[name]}/healthz")
        measure(rounds, ports, path, file.name, servers)
    finally:
        for server in servers.values():
            server.terminate()
            server.wait()


def measure(rounds, ports, path, name, servers) -> None:
    urls = {
        "nginx, plain file": (f"http://127.0.0.1:{ports['plain']}/{name}", None),
        "web process alone": (f"http://127.0.0.1:{ports['alone']}/download/{path}", "alone"),
        "the same in chunks": (f"http://127.0.0.1:{ports['chunks']}/download/{path}", "chunks"),
        "nginx in front": (f"http://127.0.0.1:{ports['proxy']}/download/{path}", "behind"),
    }
    print(
        f"{SIZE / 1e6:,.0f} MB, {rounds} rounds, medians; the limits are 0.80 alone and 0.95 with nginx\n"
    )
    print("| clients | way | GB/s | ratio to nginx | memory before, MB | more, MB |")
    print("|---|---|---|---|---|---|")
    for clients in CLIENTS:
        speeds = {way: [] for way in urls}
        ratios = {way: [] for way in urls}
        before, peak = {}, dict.fromkeys(urls, 0.0)
        for url, _ in urls.values():  # into the cache, and every process has served once
            fetched(url, 1)
        for _ in range(rounds):
            for way, (url, server) in urls.items():
                pid = servers[server].pid if server else None
                before.setdefault(way, memory(pid) if pid else 0.0)
                speed, most = fetched(url, clients, pid)
                speeds[way].append(speed)
                ratios[way].append(speed / speeds["nginx, plain file"][-1])
                peak[way] = max(peak[way], most)
        for way, (_, server) in urls.items():
            more = f"{before[way]:.0f} | {peak[way] - before[way]:.1f}" if server else " | "
            print(
                f"| {clients} | {way} | {median(speeds[way]):.2f} | {median(ratios[way]):.2f} | {more} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    SIZE = (given.megabytes * 1_000_000 >> 20) << 20
    main(given.rounds)
