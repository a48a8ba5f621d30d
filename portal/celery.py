"""The Celery application. Beat's entries stand here and nowhere else.

Two kinds of workers: `-Q default` for mail and sweeps; `-Q model.<slug>` for the engine of one release.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("weighbridge")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.task_default_queue = "default"
app.conf.beat_schedule = {
    "deliver-mail": {"task": "mail.deliver_due", "schedule": 30.0},
    "requeue-lost-runs": {"task": "sandbox.requeue_lost_runs", "schedule": 15.0},
    "seal-audit-log": {"task": "audit.seal", "schedule": 5.0, "options": {"expires": 30}},
    "seal-late-events": {"task": "audit.seal_late", "schedule": 60.0, "options": {"expires": 60}},
    "erase-people": {"task": "accounts.erase_due", "schedule": 3600.0},
    "expire-grants": {"task": "access_requests.expire_grants", "schedule": 300.0},
    "keep-statistics": {"task": "portal.keep_statistics", "schedule": 3600.0},
    "remind-holders": {"task": "access_requests.remind_holders", "schedule": 3600.0},
}
