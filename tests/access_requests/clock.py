"""A clock that the test sets: everything that asks Django for the time gets this one."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = datetime(2030, 1, 1, 12, tzinfo=UTC)  # after what fixtures made
        monkeypatch.setattr(timezone, "now", lambda: self.time)

    def forward(self, **by: float) -> datetime:
        self.time += timedelta(**by)
        return self.time
