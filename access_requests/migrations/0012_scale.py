"""Indexes for long lists, and what the fairness page reads of a decision."""

from django.db import migrations, models

from access_requests.regions import region_of


def sort(apps, editor):
    """The category into a column of its own."""
    Application = apps.get_model("access_requests", "Application")
    rows = Application.objects.exclude(submitted_at=None).only("affiliation")
    for one in rows.iterator(500):
        category = one.affiliation.get("category", "")
        Application.objects.filter(pk=one.pk).update(category=category)


def measure(apps, editor):
    """What `_measured` in services/reviewing.py keeps since."""
    Review = apps.get_model("access_requests", "Review")
    decided = Review.objects.filter(outcome__in=["approved", "refused"], closed_at__isnull=False)
    for one in decided.select_related("application").defer("evidence", "application__answers").iterator(500):
        asked, at = one.application, one.closed_at
        begun = asked.submitted_at
        if asked.appealed_at and at > asked.appealed_at:
            begun = asked.appealed_at
        Review.objects.filter(pk=one.pk).update(
            category=asked.affiliation.get("category", ""),
            region=region_of(asked.affiliation.get("country", "")),
            days=(at - begun).total_seconds() / 86400 if begun else None,
        )


class Migration(migrations.Migration):
    dependencies = [("access_requests", "0011_search")]

    operations = [
        migrations.AddField(
            model_name="application",
            name="category",
            field=models.CharField(
                blank=True, help_text="The affiliation's, to filter by.", max_length=40
            ),
        ),
        migrations.AddField(
            model_name="review",
            name="category",
            field=models.CharField(blank=True, max_length=40),
        ),
        migrations.AddField(
            model_name="review",
            name="region",
            field=models.CharField(blank=True, max_length=40),
        ),
        migrations.AddField(
            model_name="review",
            name="days",
            field=models.FloatField(
                blank=True,
                help_text="From the submission, or the appeal, to the decision.",
                null=True,
            ),
        ),
        migrations.RunPython(sort, migrations.RunPython.noop),
        migrations.RunPython(measure, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="review",
            index=models.Index(
                fields=["closed_at", "outcome", "category", "region", "reviewer", "days"],
                name="review_decisions",
            ),
        ),
        migrations.AddIndex(
            model_name="application",
            index=models.Index(fields=["submitted_at", "id"], name="application_age"),
        ),
        migrations.AddIndex(
            model_name="application",
            index=models.Index(
                fields=["state", "decided_at", "submitted_at", "appealed_at"],
                name="application_times",
            ),
        ),
        migrations.AddIndex(
            model_name="application",
            index=models.Index(
                condition=models.Q(("appealed_at__isnull", False)),
                fields=["appealed_at"],
                name="application_appealed",
            ),
        ),
        migrations.AddIndex(
            model_name="application",
            index=models.Index(
                fields=["category", "submitted_at", "id"], name="application_category"
            ),
        ),
        migrations.AddIndex(
            model_name="application",
            index=models.Index(
                fields=["family", "state", "submitted_at"], name="application_family"
            ),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(fields=["ends_at", "id"], name="grant_end"),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(fields=["status", "id"], name="grant_status"),
        ),
        migrations.AddIndex(
            model_name="coapplicant",
            index=models.Index(fields=["status", "id"], name="coapplicant_status"),
        ),
        migrations.AddIndex(
            model_name="opinion",
            index=models.Index(fields=["advice", "answered_at"], name="opinion_advice"),
        ),
    ]
