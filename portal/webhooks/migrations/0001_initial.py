import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('audit', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(max_length=80)),
                ('url', models.CharField(max_length=500, verbose_name='address')),
                ('verbs', models.JSONField(default=list, help_text='What it wants to hear of; none named is all.')),
                ('secret', models.TextField()),
                ('former_secret', models.TextField(blank=True)),
                ('former_until', models.DateTimeField(blank=True, null=True)),
                ('paused_at', models.DateTimeField(blank=True, null=True)),
                ('taken_seal', models.PositiveBigIntegerField(help_text='Events of seals up to it are numbered.')),
                ('queued', models.PositiveBigIntegerField(default=0, help_text='The last number given.')),
                ('delivered', models.PositiveBigIntegerField(default=0, help_text='The last number delivered.')),
                ('failures', models.PositiveIntegerField(default=0, help_text='Of the next one, in a row.')),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
                ('told_at', models.DateTimeField(blank=True, help_text='When managers were told.', null=True)),
                ('next_attempt_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('lease', models.CharField(blank=True, help_text='Of the one who delivers now.', max_length=32)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'webhook',
                'ordering': ('name', 'id'),
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sequence', models.PositiveBigIntegerField()),
                ('queued_at', models.DateTimeField(auto_now_add=True)),
                ('event', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='audit.event')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='webhooks.subscription')),
            ],
            options={
                'ordering': ('subscription', 'sequence'),
                'constraints': [models.UniqueConstraint(fields=('subscription', 'sequence'), name='one_event_a_number')],
            },
        ),
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sequence', models.PositiveBigIntegerField(help_text='None for a test.', null=True)),
                ('verb', models.CharField(max_length=40)),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('took_ms', models.PositiveIntegerField()),
                ('status', models.PositiveIntegerField(help_text='None when nothing answered.', null=True)),
                ('answer', models.TextField(blank=True, help_text='The first bytes of the answer.')),
                ('error', models.TextField(blank=True)),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='attempts', to='webhooks.subscription')),
            ],
            options={
                'ordering': ('-id',),
                'indexes': [models.Index(fields=['subscription', '-id'], name='attempts_of')],
            },
        ),
    ]
