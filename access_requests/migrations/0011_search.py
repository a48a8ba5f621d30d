"""The search's documents in their new form, and the index over them."""

from django.db import migrations, models

from access_requests import search_index
from access_requests.search_words import document_of


def rewrite(apps, editor):
    """What was kept as written becomes plain words, with the reference and the person in front."""
    Application = apps.get_model("access_requests", "Application")
    rows = Application.objects.exclude(search_text="").select_related("applicant")
    for row in rows.only("search_text", "applicant__name", "applicant__email").iterator(500):
        who = [f"WB-{row.pk:06d}", row.applicant.name, row.applicant.email]
        document = document_of([*who, row.search_text])
        Application.objects.filter(pk=row.pk).update(search_text=document)


class Migration(migrations.Migration):
    dependencies = [("access_requests", "0010_evidence_backfill")]

    operations = [
        migrations.AlterField(
            model_name="application",
            name="search_text",
            field=models.TextField(
                blank=True,
                help_text="What the search reads (services/searching.py); empty for a draft.",
            ),
        ),
        migrations.RunPython(rewrite, migrations.RunPython.noop),
        migrations.RunPython(search_index.install, search_index.remove),
    ]
