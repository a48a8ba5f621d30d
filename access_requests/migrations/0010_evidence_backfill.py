"""What evidence finds the applications of before by; `index_evidence` adds what needs their texts."""

from typing import Any

from django.db import migrations
from django.db.models import F

from access_requests.names import name_key


def keep(apps: Any, schema_editor: Any) -> None:
    Application = apps.get_model("access_requests", "Application")
    submitted = Application.objects.exclude(submitted_at=None)
    submitted.update(prepared_at=F("submitted_at"))
    batch = []
    for application in submitted.only("affiliation").iterator(chunk_size=1000):
        application.institution_key = name_key(application.affiliation.get("institution", ""))
        batch.append(application)
        if len(batch) == 1000:
            Application.objects.bulk_update(batch, ["institution_key"])
            batch = []
    Application.objects.bulk_update(batch, ["institution_key"])


class Migration(migrations.Migration):
    dependencies = [("access_requests", "0009_evidence")]

    operations = [migrations.RunPython(keep, migrations.RunPython.noop)]
