import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access_requests', '0001_initial'),
        ('catalog', '0001_initial'),
        ('distribution', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Quota',
            fields=[
                ('grant', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='quota', serialize=False, to='access_requests.grant')),
                ('tokens_per_day', models.PositiveIntegerField()),
                ('simultaneous', models.PositiveIntegerField(help_text='Requests waiting or running at once.')),
            ],
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('position', models.PositiveIntegerField(default=0)),
                ('mode', models.CharField(choices=[('plain', 'plain text, continued'), ('chat', "a conversation, with the model's template")], default='plain', max_length=5)),
                ('prompt', models.TextField(blank=True)),
                ('messages', models.JSONField(blank=True, default=list)),
                ('prompt_ids', models.JSONField(blank=True, default=list)),
                ('forced', models.JSONField(blank=True, default=list)),
                ('max_tokens', models.PositiveIntegerField(default=256)),
                ('temperature', models.FloatField(default=0.7)),
                ('top_k', models.PositiveIntegerField(default=0)),
                ('top_p', models.FloatField(default=0.95)),
                ('min_p', models.FloatField(default=0.0)),
                ('repetition_penalty', models.FloatField(default=1.0)),
                ('presence_penalty', models.FloatField(default=0.0)),
                ('frequency_penalty', models.FloatField(default=0.0)),
                ('logit_bias', models.JSONField(blank=True, default=dict)),
                ('stop', models.JSONField(blank=True, default=list)),
                ('stop_token_ids', models.JSONField(blank=True, default=list)),
                ('min_tokens', models.PositiveIntegerField(default=0)),
                ('seed', models.BigIntegerField()),
                ('ignore_eos', models.BooleanField(default=False)),
                ('logprobs', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('prompt_logprobs', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('repeatable', models.BooleanField(default=False)),
                ('keep', models.BooleanField(default=True)),
                ('shared', models.BooleanField(default=False)),
                ('note', models.TextField(blank=True)),
                ('status', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('finished', 'finished'), ('failed', 'failed'), ('cancelled', 'cancelled')], default='queued', max_length=10)),
                ('output', models.TextField(blank=True)),
                ('output_ids', models.JSONField(blank=True, default=list)),
                ('finish_reason', models.CharField(blank=True, max_length=12)),
                ('error', models.TextField(blank=True)),
                ('prompt_tokens', models.PositiveIntegerField(blank=True, null=True)),
                ('output_tokens', models.PositiveIntegerField(blank=True, null=True)),
                ('tokens_per_second', models.FloatField(blank=True, null=True)),
                ('first_token_seconds', models.FloatField(blank=True, null=True)),
                ('engine', models.CharField(blank=True, help_text='Engine version, dtype and device.', max_length=120)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('emptied_at', models.DateTimeField(blank=True, null=True)),
                ('deleted_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to=settings.AUTH_USER_MODEL)),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='access_requests.grant')),
            ],
            options={
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('completion', 'a request over the API'), ('comparison', 'a comparison'), ('sweep', 'a sweep')], max_length=10)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='RunTokens',
            fields=[
                ('run', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='tokens', serialize=False, to='inference_sandbox.run')),
                ('prompt', models.JSONField(default=list)),
                ('output', models.JSONField(default=list)),
            ],
        ),
        migrations.AddField(
            model_name='run',
            name='job',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='inference_sandbox.job'),
        ),
        migrations.AddField(
            model_name='run',
            name='parent',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='branches', to='inference_sandbox.run'),
        ),
        migrations.AddField(
            model_name='run',
            name='release',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='catalog.release'),
        ),
        migrations.AddField(
            model_name='run',
            name='repeats',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='repetitions', to='inference_sandbox.run'),
        ),
        migrations.AddField(
            model_name='run',
            name='revision',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='distribution.revision'),
        ),
        migrations.CreateModel(
            name='Report',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('bias', 'bias'), ('toxicity', 'toxicity'), ('privacy', "a person's private data"), ('falsehood', 'falsehood'), ('other', 'something else')], max_length=10)),
                ('text', models.TextField(help_text='What is wrong with it.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('answer', models.TextField(blank=True, help_text='What came of it; the reporter reads it.')),
                ('closed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('reporter', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='sandbox_reports', to=settings.AUTH_USER_MODEL)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reports', to='inference_sandbox.run')),
            ],
            options={
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='DayOfUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('tokens', models.PositiveBigIntegerField(default=0)),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='days_of_use', to='access_requests.grant')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('grant', 'day'), name='one_day_of_use')],
            },
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['account', '-created_at'], name='run_history'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['status', 'created_at'], name='run_unfinished'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['emptied_at', 'created_at'], name='run_retention'),
        ),
    ]
