import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Licence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(unique=True)),
                ('name', models.CharField(max_length=120)),
                ('summary', models.TextField(blank=True, help_text='In plain words, what it allows and forbids.')),
            ],
        ),
        migrations.CreateModel(
            name='Family',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(unique=True)),
                ('name', models.CharField(max_length=80)),
                ('publisher', models.CharField(max_length=80)),
                ('summary', models.TextField(blank=True)),
                ('position', models.PositiveIntegerField(default=0)),
                ('licence', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='families', to='catalog.licence')),
            ],
            options={
                'verbose_name_plural': 'families',
                'ordering': ('position', 'name'),
            },
        ),
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('repo_id', models.CharField(max_length=193, unique=True, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$', 'A repo id is publisher/name, for example meta/llama-7b.')], verbose_name='repo id')),
                ('slug', models.SlugField(max_length=100, unique=True)),
                ('name', models.CharField(max_length=80)),
                ('summary', models.CharField(blank=True, max_length=300)),
                ('model_card', models.TextField(blank=True, help_text='Markdown.', verbose_name='model card')),
                ('status', models.CharField(choices=[('announced', 'announced: weights not published here'), ('published', 'published'), ('withdrawn', 'withdrawn')], default='announced', max_length=10)),
                ('metadata', models.CharField(choices=[('public', 'public: everybody may read names, sizes and hashes of the files'), ('private', 'private: whoever holds a grant, and reviewers')], default='public', help_text='For others than its holders and applicants, a release with private metadata is not there at all for hub clients. Its page in the catalogue stays: one applies there.', max_length=8, verbose_name='metadata of the files')),
                ('parameters', models.BigIntegerField(blank=True, help_text='Number of parameters.', null=True)),
                ('dimension', models.PositiveIntegerField(blank=True, null=True)),
                ('heads', models.PositiveIntegerField(blank=True, null=True)),
                ('layers', models.PositiveIntegerField(blank=True, null=True)),
                ('training_tokens', models.BigIntegerField(blank=True, null=True)),
                ('model_parallel', models.PositiveIntegerField(default=1, verbose_name='model-parallel shards')),
                ('context_length', models.PositiveIntegerField(blank=True, help_text='Tokens.', null=True)),
                ('link_hours', models.PositiveIntegerField(default=24, help_text='How long a download link lives.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(8760)])),
                ('position', models.PositiveIntegerField(default=0)),
                ('family', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='releases', to='catalog.family')),
            ],
            options={
                'ordering': ('family__position', 'position', 'repo_id'),
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Upper('repo_id'), name='one_release_per_repo_id_in_any_case', violation_error_message='Another release has this repo id, perhaps in another case.')],
            },
        ),
        migrations.CreateModel(
            name='LicenceVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('text', models.TextField()),
                ('sha256', models.CharField(editable=False, max_length=64)),
                ('published_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('standing_grants', models.CharField(choices=[('keep', 'keep: they stand'), ('reaccept', 're-accept: they stand for some days, then wait for acceptance'), ('suspend', 'suspend: they wait for acceptance at once')], default='keep', max_length=10)),
                ('reaccept_days', models.PositiveIntegerField(default=30, validators=[django.core.validators.MaxValueValidator(3650)])),
                ('licence', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='catalog.licence')),
            ],
            options={
                'ordering': ('licence', '-number'),
                'constraints': [models.UniqueConstraint(fields=('licence', 'number'), name='one_number_per_licence')],
            },
        ),
    ]
