import django.db.models.deletion
import portal.audit.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(auto_now_add=True, db_index=True)),
                ('verb', models.CharField(choices=portal.audit.models.verbs, max_length=40)),
                ('subject_type', models.CharField(max_length=40)),
                ('subject_id', models.CharField(max_length=64)),
                ('data', models.JSONField(default=dict, help_text='States, codes, ids, sizes. Never names or prompts.')),
                ('actor', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Seal',
            fields=[
                ('number', models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ('first_event', models.BigIntegerField(help_text='lowest event id; others may lie in between')),
                ('last_event', models.BigIntegerField(help_text='highest event id')),
                ('count', models.PositiveIntegerField(help_text='how many events it seals')),
                ('newest_at', models.DateTimeField(help_text='time of the newest event that was sealed up to here; bounds how late one may come')),
                ('root', models.CharField(help_text='Merkle root of its events, hex', max_length=64)),
                ('previous', models.CharField(help_text='hash of the seal before it, hex', max_length=64)),
                ('sealed_at', models.DateTimeField()),
                ('key_id', models.CharField(max_length=16)),
                ('signature', models.CharField(help_text='Ed25519, hex', max_length=128)),
            ],
            options={
                'ordering': ('-number',),
            },
        ),
        migrations.CreateModel(
            name='SealedEvent',
            fields=[
                ('event', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='sealed', serialize=False, to='audit.event')),
                ('position', models.PositiveIntegerField(help_text='from 0, by event id')),
                ('leaf', models.BinaryField(max_length=32)),
                ('seal', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='audit.seal')),
            ],
            options={
                'ordering': ('seal_id', 'position'),
            },
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['subject_id', 'subject_type', 'at', 'id'], name='event_about'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['subject_type', 'at', 'id'], name='event_kind'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['verb', 'at', 'id'], name='event_verb'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['actor', 'at', 'id'], name='event_actor'),
        ),
        migrations.AddConstraint(
            model_name='sealedevent',
            constraint=models.UniqueConstraint(fields=('seal', 'position'), name='one_event_a_position'),
        ),
    ]
