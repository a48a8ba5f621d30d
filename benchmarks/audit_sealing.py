"""Does sealing keep up with writing, and how long does it take to verify a million events?

    python benchmarks/audit_sealing.py [--events 100000]

Uses a new database beside the one of DATABASE_URL (SQLite without it), which is removed afterwards. Rounds of plain
inserts, one transaction each as the acts of the site make them, and rounds of bulk inserts, take turns with sealing.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["WEIGHBRIDGE_HOME"] = tempfile.mkdtemp(prefix="wb-bench-")
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
os.environ.setdefault("WEIGHBRIDGE_LOG_LEVEL", "WARNING")

import django

django.setup()
from django.db import connection  # noqa: E402

from portal.accounts.models import Account  # noqa: E402
from portal.audit import sealing, services, verifying  # noqa: E402
from portal.audit.models import Event, Verb  # noqa: E402

ROUNDS = 5
PLAIN = 1000  # events of a round of plain inserts


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def plain(account: Account) -> None:
    for number in range(PLAIN):
        services.record(Verb.DOWNLOAD_STARTED, account, actor=account, bytes=number, grant=7)


def bulk(account: Account, count: int) -> None:
    Event.objects.bulk_create(
        (
            Event(
                verb=Verb.DOWNLOAD_STARTED,
                actor=account,
                subject_type="accounts.account",
                subject_id=str(account.pk),
                data={"bytes": number, "grant": 7},
            )
            for number in range(count)
        ),
        batch_size=5000,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    events = parser.parse_args().events
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        measure(events)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def measure(events: int) -> None:
    account = Account.objects.create_user("bench@lab.test", "x", name="Bench")
    sealing.seal_waiting()
    share = events // ROUNDS
    inserted, added, sealed = [], [], []
    for _ in range(ROUNDS):
        inserted.append(PLAIN / timed(lambda: plain(account)))
        added.append((share - PLAIN) / timed(lambda: bulk(account, share - PLAIN)))
        sealed.append(share / timed(sealing.seal_waiting))
    walk = timed(verifying.verify)
    late = timed(lambda: sealing.seal_waiting(late=True))
    found = verifying.verify()
    assert found.events >= events
    assert found.waiting == 0
    insert, seal = median(inserted), median(sealed)
    million = walk / found.events * 1_000_000
    print(f"{connection.vendor}, {found.events:,} events in {found.seals} seals\n")
    print("| what | result | beside |")
    print("|---|---|---|")
    print(f"| plain inserts, one by one | {insert:,.0f} events/s | |")
    print(f"| bulk inserts | {median(added):,.0f} events/s | |")
    print(f"| sealing | {seal:,.0f} events/s | {seal / insert:.1f} × plain inserts |")
    print(f"| sealing against the 2,000 events/s asked for | | {seal / 2000:.1f} × |")
    print(f"| looking for late events, none there | {late * 1000:,.0f} ms | once a minute |")
    print(f"| verifying all of it | {walk:.1f} s | |")
    print(f"| the same for a million | {million:.0f} s | {60 / million:.1f} × under a minute |")


if __name__ == "__main__":
    main()
