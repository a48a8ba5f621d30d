"""An index for each filter of the log. SQLite makes the table anew for it, without its triggers."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from portal.audit import triggers


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0005_verbs_from_code"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(model_name="event", name="event_subject"),
        migrations.AlterField(
            model_name="event",
            name="actor",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["subject_id", "subject_type", "id"], name="event_about"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["subject_type", "at", "id"], name="event_kind"),
        ),
        migrations.AddIndex(
            model_name="event", index=models.Index(fields=["verb", "at", "id"], name="event_verb")
        ),
        migrations.AddIndex(
            model_name="event", index=models.Index(fields=["actor", "at", "id"], name="event_actor")
        ),
        migrations.RunPython(triggers.reinstall, migrations.RunPython.noop),
    ]
