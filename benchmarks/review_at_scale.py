"""How fast is the review desk with 100,000 applications and 2 million events?

    python benchmarks/review_at_scale.py --database sqlite
    DATABASE_URL=postgres://… python benchmarks/review_at_scale.py --database postgres
    DATABASE_URL=postgres://… python benchmarks/review_at_scale.py --database both

Makes the data in a database of its own, removed afterwards (`--keep NAME` leaves it and finds it again), opens every
page as its reader through Django's test client, one after another in rounds, and prints the median, the 95th
percentile and the number of queries. The pages stand in at_scale/pages.py: one line each. Exits with 1 when a page
misses its limit.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

HERE = Path(__file__).resolve()
REMS = (3_000, 72_000, 2 * 1024)  # applications, events, megabytes, as its operators report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--applications", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="", help="measure the pages with this in their name")
    parser.add_argument("--keep", default="", metavar="NAME", help="leave the data, or find it")
    parser.add_argument("--json", default="", metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    names = ["sqlite", "postgres"] if args.database == "both" else [args.database]
    if args.json:
        Path(args.json).write_text(json.dumps(measured(args, names[0])))
        return 0
    figures = {name: in_a_process_of_its_own(name) for name in names}
    return print_table(figures)


def in_a_process_of_its_own(database: str) -> dict[str, Any]:
    """Django knows one database from its start; so each is measured by a process that has only it."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        again = [sys.executable, str(HERE), *sys.argv[1:]]
        subprocess.run([*again, "--database", database, "--json", out.name], check=True)
        return json.loads(Path(out.name).read_text())


# ---- one database --------------------------------------------------------------------------------


def measured(args: argparse.Namespace, database: str) -> dict[str, Any]:
    home = Path(tempfile.mkdtemp(prefix="wb-scale-"))
    name = f"wb_scale_{args.keep or os.getpid()}"
    if args.keep and database == "sqlite":
        home = Path(tempfile.gettempdir()) / name
    try:
        begin_django(home, database, name)
        figures = make_or_find(args) | {"pages": measure(args.rounds, args.only)}
    finally:
        end(home, database, name, keep=bool(args.keep))
    return figures


def begin_django(home: Path, database: str, name: str) -> None:
    """The settings of a site with this database, its tables, and its static files."""
    server = os.environ.pop("DATABASE_URL", "")
    if database == "postgres":
        if not server.startswith("postgres"):
            sys.exit("Set DATABASE_URL to a PostgreSQL server on which databases may be created.")
        admin_sql(server, f"CREATE DATABASE {name}", may_fail=True)
        os.environ["DATABASE_URL"] = f"{server.rpartition('/')[0]}/{name}"
    os.environ.update(
        WEIGHBRIDGE_HOME=str(home),
        WEIGHBRIDGE_BASE_URL="http://testserver",
        WEIGHBRIDGE_LOG_LEVEL="ERROR",
        DJANGO_SETTINGS_MODULE="portal.settings",
    )
    sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    from portal.garbage import settle

    settle()  # as the web process does at its start


def admin_sql(server: str, sql: str, *, may_fail: bool = False) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        try:
            connection.execute(sql)
        except psycopg.Error:
            if not may_fail:
                raise


def end(home: Path, database: str, name: str, *, keep: bool) -> None:
    from django.db import connections

    server = os.environ.get("DATABASE_URL", "")
    for connection in connections.all():
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
    if keep:
        return
    shutil.rmtree(home, ignore_errors=True)
    if database == "postgres" and server:
        admin_sql(f"{server.rpartition('/')[0]}/postgres", f"DROP DATABASE {name} WITH (FORCE)")


def make_or_find(args: argparse.Namespace) -> dict[str, Any]:
    from at_scale import bulk
    from at_scale.rows import World

    from access_requests import services
    from access_requests.models import Application

    began = time.perf_counter()
    rows: dict[str, int] = {}
    if not Application.objects.exists():
        rows = World(args.applications, args.events, seed=3).make()
        services.index_again(services.to_index())
        bulk.tidy()
    took = time.perf_counter() - began
    size = bulk.size_on_disk() / 2**20
    made = ", ".join(f"{number:,} {what}" for what, number in rows.items())
    print(f"{size:,.0f} MB, made in {took:,.0f} s: {made}", file=sys.stderr)
    return {"megabytes": size, "seconds": took, "rows": rows}


def measure(rounds: int, only: str) -> dict[str, Any]:
    from at_scale.pages import PAGES, found
    from django.db import connection
    from django.test import Client

    words, people = found()
    clients = {who: Client(headers={"accept": "text/html, */*;q=0.8"}) for who in people}
    for who, account in people.items():
        clients[who].force_login(account, "django.contrib.auth.backends.ModelBackend")
    pages = [page for page in PAGES if only in page.name]

    def open_page(page: Any) -> tuple[float, int]:
        began = time.perf_counter()
        response = clients[page.who].get(page.address.format(**words))
        return (time.perf_counter() - began) * 1000, response.status_code

    queries: dict[str, int] = {}
    for page in list(pages):
        _, status = open_page(page)  # what is compiled and cached at a first use is not the page's
        if status != page.status:  # such as a deep page of a small run
            print(f"left out: {page.name} answers {status}", file=sys.stderr)
            pages.remove(page)
            continue
        counter = Counter()
        with connection.execute_wrapper(counter):
            open_page(page)
        queries[page.name] = counter.number
    times: dict[str, list[float]] = {page.name: [] for page in pages}
    for _ in range(rounds):
        for page in pages:
            times[page.name].append(open_page(page)[0])
    return {
        page.name: {
            "who": page.who,
            "limit": page.limit,
            "median": median(times[page.name]),
            "p95": quantiles(times[page.name], n=20, method="inclusive")[-1],
            "queries": queries[page.name],
        }
        for page in pages
    }


class Counter:
    def __init__(self) -> None:
        self.number = 0

    def __call__(self, execute: Any, *args: Any) -> Any:
        self.number += 1
        return execute(*args)


# ---- the table -----------------------------------------------------------------------------------


def print_table(figures: dict[str, dict[str, Any]]) -> int:
    for database, one in figures.items():
        rows = ", ".join(f"{number:,} {what}" for what, number in one["rows"].items())
        print(f"- {database}: {one['megabytes']:,.0f} MB, made in {one['seconds']:,.0f} s. {rows}")
        if rows:
            print(f"  {anchor(one)}")
    print()
    heads = [f"{name}, median | p95 | queries" for name in figures]
    print(f"| page | opened by | limit | {' | '.join(heads)} |")
    print("|---|---|---|" + "---|---|---|" * len(figures))
    missed = 0
    for page in next(iter(figures.values()))["pages"]:
        cells = []
        for one in figures.values():
            found = one["pages"][page]
            late = found["p95"] >= found["limit"]
            missed += late
            p95 = f"**{found['p95']:,.0f} ms, missed**" if late else f"{found['p95']:,.0f} ms"
            cells += [f"{found['median']:,.0f} ms", p95, str(found["queries"])]
        print(f"| {page} | {found['who']} | {found['limit']} ms | {' | '.join(cells)} |")
    print(f"\n{missed} of {len(figures) * len(one['pages'])} miss their limit.")
    return 1 if missed else 0


def anchor(one: dict[str, Any]) -> str:
    """Our size for as many events an application as REMS has, beside what REMS needs."""
    applications, events, megabytes = REMS
    share = one["megabytes"] * applications / one["rows"]["applications"]
    return (
        f"REMS reports {applications:,} applications and {events:,} events in {megabytes:,} MB; "
        f"{applications:,} of these applications are {share:,.0f} MB ({megabytes / share:,.0f} × less)."
    )


if __name__ == "__main__":
    sys.exit(main())
