import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access_requests', '0001_initial'),
        ('catalog', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Artifact',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.CharField(max_length=255)),
                ('size', models.BigIntegerField()),
                ('sha256', models.CharField(max_length=64)),
                ('chunk_digests', models.BinaryField(default=b'')),
            ],
            options={
                'ordering': ('path',),
            },
        ),
        migrations.CreateModel(
            name='LinkTerms',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('network', models.CharField(blank=True, help_text='CIDR; empty: any.', max_length=43)),
                ('uses', models.PositiveIntegerField(blank=True, help_text='Empty: any number.', null=True)),
                ('openings', models.PositiveIntegerField(default=0, help_text='How often it was opened.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('artifact', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='distribution.artifact')),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access_requests.grant')),
            ],
        ),
        migrations.CreateModel(
            name='NetworkList',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('file_name', models.CharField(max_length=200)),
                ('sha256', models.CharField(max_length=64)),
                ('count', models.PositiveIntegerField(default=0)),
                ('is_current', models.BooleanField(default=False)),
                ('loaded_at', models.DateTimeField(auto_now_add=True)),
                ('loaded_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='NetworkRange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('first', models.CharField(max_length=32)),
                ('last', models.CharField(max_length=32)),
                ('country', models.CharField(max_length=2)),
                ('of', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='ranges', to='distribution.networklist')),
            ],
        ),
        migrations.CreateModel(
            name='Quota',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('bytes_per_day', models.BigIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('copies', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('transfers', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('set_at', models.DateTimeField(auto_now=True)),
                ('grant', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='download_quota', to='access_requests.grant')),
                ('release', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='download_quota', to='catalog.release')),
                ('set_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Revision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=40)),
                ('layout', models.CharField(choices=[('original', 'original LLaMA layout (params.json, consolidated.NN.pth)'), ('safetensors', 'safetensors (config.json, model*.safetensors)'), ('other', 'another form (GGUF, an adapter, …)')], max_length=12)),
                ('facts', models.JSONField(default=dict)),
                ('sandbox_notes', models.JSONField(default=dict)),
                ('is_current', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('taken_down_at', models.DateTimeField(blank=True, null=True)),
                ('taken_down_reason', models.TextField(blank=True)),
                ('published_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='revisions', to='catalog.release')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.AddField(
            model_name='artifact',
            name='revision',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='artifacts', to='distribution.revision'),
        ),
        migrations.CreateModel(
            name='Tag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=128)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tags', to='catalog.release')),
                ('revision', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tags', to='distribution.revision')),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='Alarm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('networks', 'many networks'), ('denials', 'many denials'), ('burst', 'a sudden burst')], max_length=10)),
                ('found', models.PositiveBigIntegerField(help_text='What was counted.')),
                ('limit', models.PositiveBigIntegerField(help_text='From how much on it is an alarm.')),
                ('raised_at', models.DateTimeField(auto_now_add=True)),
                ('dismissed_at', models.DateTimeField(blank=True, null=True)),
                ('note', models.TextField(blank=True)),
                ('dismissed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='download_alarms', to='access_requests.grant')),
            ],
            options={
                'ordering': ('-id',),
                'constraints': [models.UniqueConstraint(condition=models.Q(('dismissed_at', None)), fields=('grant', 'kind'), name='one_standing_alarm_of_a_kind')],
            },
        ),
        migrations.CreateModel(
            name='DayUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('counted', models.BigIntegerField(default=0)),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='day_uses', to='access_requests.grant')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('grant', 'day'), name='one_use_of_a_day')],
            },
        ),
        migrations.CreateModel(
            name='FileUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('copies', models.PositiveIntegerField(default=0, help_text='Copies begun.')),
                ('completed', models.PositiveIntegerField(default=0, help_text='Copies that went out whole.')),
                ('is_whole', models.BooleanField(default=False, help_text='The newest one is among those.')),
                ('pieces', models.JSONField(default=list, help_text='Bytes of the newest copy that are out.')),
                ('repeated', models.BigIntegerField(default=0, help_text='Bytes of it that left again.')),
                ('artifact', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='uses', to='distribution.artifact')),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='file_uses', to='access_requests.grant')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('grant', 'artifact'), name='one_use_of_a_file')],
            },
        ),
        migrations.CreateModel(
            name='Download',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('outcome', models.CharField(choices=[('served', 'served'), ('redirected', 'handed to the store'), ('handed', 'handed to the proxy'), ('denied', 'denied')], max_length=10)),
                ('code', models.CharField(blank=True, help_text='Why it was denied.', max_length=30)),
                ('method', models.CharField(max_length=8)),
                ('first_byte', models.BigIntegerField(blank=True, null=True)),
                ('bytes_asked', models.BigIntegerField(default=0, help_text='Length of the range that was asked for.')),
                ('bytes_sent', models.BigIntegerField(blank=True, help_text='Known where we serve the bytes ourselves.', null=True)),
                ('bytes_counted', models.BigIntegerField(default=0, help_text='Of these, the bytes that the copy under way did not have yet.')),
                ('fresh', models.JSONField(default=list, help_text='Where in the file those lie.')),
                ('busy_until', models.DateTimeField(blank=True, help_text='Until then it holds a place among transfers at once.', null=True)),
                ('network', models.CharField(blank=True, help_text='Of the address its first 24 bits, of IPv6 48.', max_length=43)),
                ('user_agent', models.CharField(blank=True, max_length=200)),
                ('request_id', models.CharField(max_length=64)),
                ('started_at', models.DateTimeField(auto_now_add=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('artifact', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='downloads', to='distribution.artifact')),
                ('grant', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='downloads', to='access_requests.grant')),
                ('terms', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='distribution.linkterms')),
            ],
            options={
                'ordering': ('-id',),
                'indexes': [models.Index(fields=['grant', 'started_at'], name='download_of_grant'), models.Index(fields=['started_at'], name='download_started'), models.Index(condition=models.Q(('busy_until__isnull', False)), fields=['grant', 'busy_until'], name='download_running')],
            },
        ),
        migrations.AddConstraint(
            model_name='networklist',
            constraint=models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('is_current',), name='one_network_list'),
        ),
        migrations.AddIndex(
            model_name='networkrange',
            index=models.Index(fields=['of', 'first'], name='network_by_first'),
        ),
        migrations.AddConstraint(
            model_name='quota',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('grant__isnull', False), ('release', None)), models.Q(('grant', None), ('release__isnull', False)), _connector='OR'), name='quota_of_a_release_or_a_grant'),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.UniqueConstraint(fields=('release', 'digest'), name='one_revision_per_digest'),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('release',), name='one_current_revision'),
        ),
        migrations.AddConstraint(
            model_name='artifact',
            constraint=models.UniqueConstraint(fields=('revision', 'path'), name='one_artifact_per_path'),
        ),
        migrations.AddConstraint(
            model_name='tag',
            constraint=models.UniqueConstraint(fields=('release', 'name'), name='one_revision_per_tag'),
        ),
    ]
