"""What an operator sees of the running site. Numbers and times alone: nothing that people wrote.

A floor adds its own lines from its AppConfig: `state.part("Store of weights")(check)`.
"""

import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import celery
import django
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.template.defaultfilters import pluralize
from django.utils import timezone
from django.utils.timesince import timesince

from portal.audit import sealing
from portal.mail.models import OutgoingMail

HEARTBEAT = "state:heartbeat"
LATE_HEARTBEAT = timedelta(seconds=60)
LATE_MAIL = timedelta(minutes=10)
LATE_SEAL = timedelta(minutes=1)


@dataclass(frozen=True)
class Line:
    """`level`: ok, warn (look at it) or bad (does not work)."""

    what: str
    text: str
    level: str = "ok"


@dataclass(frozen=True)
class Part:
    title: str
    lines: list[Line]

    @property
    def level(self) -> str:
        levels = {line.level for line in self.lines}
        return next((level for level in ("bad", "warn") if level in levels), "ok")


Check = Callable[[], Iterable[Line]]
_parts: dict[str, Check] = {}


def part(title: str) -> Callable[[Check], Check]:
    """Register a check under a heading."""

    def register(check: Check) -> Check:
        _parts[title] = check
        return check

    return register


def parts() -> list[Part]:
    """Every part, asked now. One that fails says so, and hides no other."""
    return [Part(title, _asked(check)) for title, check in _parts.items()]


def _asked(check: Check) -> list[Line]:
    try:
        return list(check())
    except Exception as error:
        # Not its text: an address in it may hold a password. The log has it.
        return [Line("Answer", f"does not answer ({type(error).__name__})", "bad")]


def age(moment: datetime) -> str:
    seconds = (timezone.now() - moment).total_seconds()
    return f"{max(0, round(seconds))} s ago" if seconds < 120 else f"{timesince(moment)} ago"


@part("Database")
def database() -> Iterable[Line]:
    begun = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    took = (time.perf_counter() - begun) * 1000
    yield Line("Answer", f"{connection.display_name}, in {took:.1f} ms")
    executor = MigrationExecutor(connection)
    left = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if left:
        yield Line("Tables", f"{left} migrations to run: script/manage migrate", "bad")
    else:
        yield Line("Tables", "up to date")


@part("Redis")
def redis() -> Iterable[Line]:
    begun = time.perf_counter()
    cache.set("state:probe", "1", 10)
    held = cache.get("state:probe") == "1"
    took = (time.perf_counter() - begun) * 1000
    yield Line(
        "Answer",
        f"in {took:.1f} ms" if held else "forgets what it is told",
        "ok" if held else "bad",
    )


@part("Work in the background")
def work() -> Iterable[Line]:
    beat = cache.get(HEARTBEAT)
    if beat is None:
        yield Line(
            "Beat", "no heartbeat yet: is Beat running, and a worker of the queue default?", "bad"
        )
    else:
        late = timezone.now() - beat > LATE_HEARTBEAT
        yield Line("Beat", f"last heartbeat {age(beat)}", "bad" if late else "ok")
    from portal.celery import app  # here, for Celery's settings come from ours

    answered = app.control.ping(timeout=0.7) or []
    names = sorted(name for answer in answered for name in answer)
    yield Line(
        "Workers",
        f"{len(names)} answer: {', '.join(names)}" if names else "none answers",
        "ok" if names else "bad",
    )


@part("Outgoing mail")
def mail() -> Iterable[Line]:
    waiting = OutgoingMail.objects.filter(sent_at=None)
    number, failing = waiting.count(), waiting.filter(attempts__gt=0).count()
    oldest = waiting.order_by("created_at").values_list("created_at", flat=True).first()
    if oldest is None:
        yield Line("Waiting", "none")
    else:
        late = timezone.now() - oldest > LATE_MAIL
        yield Line("Waiting", f"{number}, the oldest from {age(oldest)}", "warn" if late else "ok")
    yield Line(
        "Failing", f"{failing} tried in vain" if failing else "none", "bad" if failing else "ok"
    )


@part("Seals of the audit log")
def seals() -> Iterable[Line]:
    last = sealing.last_seal()
    left = sealing.waiting()
    waiting, oldest = left.count(), left.order_by("at").values_list("at", flat=True).first()
    late = oldest is not None and timezone.now() - oldest > LATE_SEAL
    yield Line("Last seal", f"number {last.number}, {age(last.sealed_at)}" if last else "none yet")
    text = f"{waiting} event{pluralize(waiting)}" + (
        f", the oldest from {age(oldest)}" if oldest else ""
    )
    yield Line("Not sealed yet", text if waiting else "none", "bad" if late else "ok")


@part("Versions and settings")
def versions() -> Iterable[Line]:
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]
    yield Line("Weighbridge", str(project["version"]))
    python = ".".join(map(str, sys.version_info[:3]))
    yield Line(
        "Runs on", f"Python {python}, Django {django.get_version()}, Celery {celery.__version__}"
    )
    if settings.REQUIRE_MFA:
        yield Line("Second factor", "needed for every role")
    else:
        level = "ok" if settings.DEMO else "warn"
        yield Line("Second factor", "not asked for: WEIGHBRIDGE_REQUIRE_MFA is off", level)
    if settings.DEBUG:
        yield Line("Debug", "on: error pages show code and settings", "bad")
