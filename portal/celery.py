"""The Celery application. Beat's entries stand here and nowhere else.

Two kinds of workers: `-Q default` for mail and sweeps; `-Q model.<slug>` for the engine of one release.
"""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("weighbridge")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.task_default_queue = "default"
app.conf.beat_schedule = {
    "heartbeat": {"task": "portal.heartbeat", "schedule": 15.0, "options": {"expires": 30}},
    "deliver-mail": {"task": "mail.deliver_due", "schedule": 30.0},
    "requeue-lost-runs": {"task": "sandbox.requeue_lost_runs", "schedule": 15.0},
    "empty-old-runs": {"task": "sandbox.empty_old_runs", "schedule": 3600.0},
    "seal-audit-log": {"task": "audit.seal", "schedule": 5.0, "options": {"expires": 30}},
    "seal-late-events": {"task": "audit.seal_late", "schedule": 60.0, "options": {"expires": 60}},
    "erase-people": {"task": "accounts.erase_due", "schedule": 3600.0},
    "deliver-webhooks": {
        "task": "webhooks.deliver_due",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "prune-webhooks": {"task": "webhooks.prune", "schedule": 3600.0},
    "watch-downloads": {
        "task": "distribution.watch_downloads",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "expire-grants": {"task": "access_requests.expire_grants", "schedule": 300.0},
    "prepare-left-over": {"task": "access_requests.prepare_left_over", "schedule": 60.0},
    "keep-statistics": {"task": "portal.keep_statistics", "schedule": 3600.0},
    "remind-holders": {"task": "access_requests.remind_holders", "schedule": 3600.0},
    "follow-up-witnesses": {"task": "access_requests.follow_up_witnesses", "schedule": 3600.0},
}


@setup_logging.connect
def use_the_logging_of_the_site(**_: Any) -> None:
    """In place of Celery's own, which knows neither the level nor the redaction of the settings."""
    logging.config.dictConfig(settings.LOGGING)
