import access_requests.models.attachment
import access_requests.models.people
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.comparison
import portal.accounts.addresses
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('catalog', '0001_initial'),
        ('mail', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='OrcidRecord',
            fields=[
                ('orcid', models.CharField(max_length=19, primary_key=True, serialize=False)),
                ('found', models.BooleanField(default=False)),
                ('name', models.CharField(blank=True, max_length=300)),
                ('other_names', models.JSONField(default=list)),
                ('employers', models.JSONField(default=list, help_text='A list of {name, ror, ended}: the public employments.')),
                ('problem', models.CharField(blank=True, help_text='Why it could not be looked up.', max_length=200)),
                ('looked_up_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Application',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('submitted', 'Waiting for a reviewer'), ('returned', 'Returned for correction'), ('in_review', 'In review'), ('approved', 'Approved'), ('refused', 'Refused'), ('withdrawn', 'Withdrawn'), ('appealed', 'Appeal waiting for another reviewer'), ('in_appeal', 'Appeal in review')], default='draft', max_length=10)),
                ('answers', models.JSONField(default=dict)),
                ('carried', models.JSONField(blank=True, default=dict, help_text="What became of a draft's answers when they came from another form or application: {source, new: [key], changed: [key], dropped: [[label, answer]]}. Emptied at submission.")),
                ('search_text', models.TextField(blank=True, help_text='What the search reads (services/searching.py); empty for a draft.')),
                ('affiliation', models.JSONField(default=dict, help_text='The affiliation as it was when submitted.')),
                ('institution_key', models.CharField(blank=True, help_text="The institution's name as names are compared.", max_length=200)),
                ('ror', models.CharField(blank=True, help_text='The ROR id of the institution, by its mail domain or name, when submitted.', max_length=20)),
                ('prepared_at', models.DateTimeField(blank=True, help_text='When the evidence that takes time was looked up and the rules were asked.', null=True)),
                ('left_by_rules', models.JSONField(blank=True, default=list, help_text='Which automatic rules left it to people, and why: [[rule, why]].')),
                ('category', models.CharField(blank=True, help_text="The affiliation's, to filter by.", max_length=40)),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decision_reason', models.TextField(blank=True)),
                ('apply_again_from', models.DateTimeField(blank=True, help_text='After a refusal: no new application before it.', null=True)),
                ('appeal', models.TextField(blank=True, help_text='Why the applicant asks another reviewer.')),
                ('appealed_at', models.DateTimeField(blank=True, help_text='Once; null: never.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('submitted_at', models.DateTimeField(blank=True, help_text='First submission; the age counts from it.', null=True)),
                ('applicant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='applications', to=settings.AUTH_USER_MODEL)),
                ('claimed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='claimed_applications', to=settings.AUTH_USER_MODEL)),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='decided_applications', to=settings.AUTH_USER_MODEL)),
                ('family', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='applications', to='catalog.family')),
                ('releases', models.ManyToManyField(related_name='applications', to='catalog.release')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Attachment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('question', models.CharField(help_text='The key of the question.', max_length=60)),
                ('file', models.FileField(storage=access_requests.models.attachment.private_storage, upload_to=access_requests.models.attachment.random_name)),
                ('name', models.CharField(max_length=150)),
                ('media_type', models.CharField(max_length=40)),
                ('size', models.PositiveIntegerField(help_text='Bytes.')),
                ('sha256', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='attachments', to='access_requests.application')),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.CreateModel(
            name='AutomaticRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Reviewers read: approved by the rule “…”.', max_length=60, unique=True)),
                ('conditions', models.JSONField(default=list, help_text='The keys of the checks that all have to support.')),
                ('grant_days', models.PositiveSmallIntegerField(default=90, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(366)], verbose_name='days of the grant')),
                ('is_active', models.BooleanField(default=False, verbose_name='in force')),
                ('changed_at', models.DateTimeField(auto_now=True)),
                ('account', models.OneToOneField(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='automatic_rule', to=settings.AUTH_USER_MODEL)),
                ('family', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='automatic_rules', to='catalog.family')),
                ('releases', models.ManyToManyField(blank=True, help_text='Only applications for these; for all of the family when empty.', related_name='automatic_rules', to='catalog.release')),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='Block',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('domain', models.CharField(blank=True, help_text='Also every domain below it.', max_length=253, validators=[django.core.validators.RegexValidator('^([a-z0-9-]+\\.)+[a-z0-9-]+$', 'Write the domain alone, such as mail.example.org.')], verbose_name='mail domain')),
                ('reason', models.TextField(help_text='Told to the person who is refused.')),
                ('ends_at', models.DateTimeField(blank=True, help_text='Empty: no end.', null=True, verbose_name='until')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('account', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='blocks', to=settings.AUTH_USER_MODEL)),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('family', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='blocks', to='catalog.family')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='BlockedAddress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=64)),
                ('block', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='addresses', to='access_requests.block')),
            ],
        ),
        migrations.CreateModel(
            name='DecisionPolicy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('approvals', models.PositiveSmallIntegerField(choices=[(1, '1: one reviewer decides'), (2, '2: two different people approve')], default=1, verbose_name='required approvals')),
                ('checklist', models.TextField(blank=True, help_text='One item a line. An approval needs every item ticked; the ticks are kept.')),
                ('asks_official', models.BooleanField(default=False, help_text='The applicant names a person with authority at their institution, who confirms over a mailed link. No approval without it, unless a manager goes without.', verbose_name='ask for a signing official')),
                ('asks_referee', models.BooleanField(default=False, help_text='The applicant names a colleague, who answers three questions over a mailed link. No approval without it, unless a manager goes without.', verbose_name='ask for a referee')),
                ('max_grant_days', models.PositiveSmallIntegerField(default=1098, help_text='No approval and no renewal lets a grant run longer than this from the day of the decision.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(3660)], verbose_name='longest grant, in days')),
                ('second_looks', models.PositiveSmallIntegerField(default=0, help_text='So many of a hundred decisions are looked at again by another reviewer who does not know the decision. Nothing changes for the applicant; the fairness page counts.', validators=[django.core.validators.MaxValueValidator(100)], verbose_name='random second looks, in %')),
                ('release', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='decision_policy', to='catalog.release')),
            ],
            options={
                'verbose_name_plural': 'decision policies',
            },
        ),
        migrations.CreateModel(
            name='EvidenceList',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('institutions', 'Research institutions'), ('listed', 'Listed countries, persons and organisations')], max_length=12)),
                ('status', models.CharField(choices=[('loading', 'being loaded'), ('current', 'in use'), ('former', 'replaced'), ('failed', 'failed')], default='loading', max_length=7)),
                ('file_name', models.CharField(max_length=200, verbose_name='file')),
                ('version', models.CharField(blank=True, max_length=60)),
                ('dated', models.DateField(blank=True, null=True, verbose_name='date of the list')),
                ('sha256', models.CharField(max_length=64)),
                ('count', models.PositiveIntegerField(default=0, verbose_name='entries')),
                ('problem', models.TextField(blank=True)),
                ('loaded_at', models.DateTimeField(auto_now_add=True)),
                ('loaded_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Form',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField()),
                ('questions', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('family', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='forms', to='catalog.family')),
            ],
            options={
                'ordering': ('family', '-version'),
            },
        ),
        migrations.AddField(
            model_name='application',
            name='form',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='applications', to='access_requests.form'),
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tier', models.CharField(choices=[('try', 'sandbox only'), ('weights', 'sandbox and download')], default='weights', max_length=10)),
                ('status', models.CharField(choices=[('active', 'active'), ('suspended', 'suspended'), ('revoked', 'revoked')], default='active', max_length=10)),
                ('status_reason', models.TextField(blank=True)),
                ('status_changed_at', models.DateTimeField(blank=True, null=True)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('pending_again', models.BooleanField(default=False, help_text='Suspended by being set back to pending, which accepting the request lifts.')),
                ('expiry_recorded_at', models.DateTimeField(blank=True, help_text='When the sweep wrote down that it ended; it ended on time without it.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grants', to=settings.AUTH_USER_MODEL)),
                ('application', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='access_requests.application')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='catalog.release')),
                ('status_changed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='CloseOut',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('statement', models.TextField(help_text='The text that the name was typed under.')),
                ('typed_name', models.CharField(max_length=150)),
                ('remarks', models.TextField(blank=True)),
                ('closed_at', models.DateTimeField(auto_now_add=True)),
                ('grant', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='close_out', to='access_requests.grant')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Institution',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ror', models.CharField(max_length=20, verbose_name='ROR id')),
                ('name', models.CharField(max_length=300)),
                ('types', models.JSONField(default=list, help_text='As ROR has them: education, company, …')),
                ('country', models.CharField(blank=True, max_length=2)),
                ('evidence_list', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='institutions', to='access_requests.evidencelist')),
            ],
        ),
        migrations.CreateModel(
            name='InstitutionDomain',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('domain', models.CharField(max_length=253)),
                ('is_named', models.BooleanField(help_text="Named as a mail domain; else its web site's host.")),
                ('evidence_list', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='access_requests.evidencelist')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='domains', to='access_requests.institution')),
            ],
        ),
        migrations.CreateModel(
            name='InstitutionName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200)),
                ('evidence_list', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='access_requests.evidencelist')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='names', to='access_requests.institution')),
            ],
        ),
        migrations.CreateModel(
            name='LicenceAcceptance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('typed_name', models.CharField(max_length=150)),
                ('text_sha256', models.CharField(max_length=64)),
                ('accepted_at', models.DateTimeField(auto_now_add=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='acceptances', to=settings.AUTH_USER_MODEL)),
                ('licence_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='acceptances', to='catalog.licenceversion')),
            ],
        ),
        migrations.AddField(
            model_name='grant',
            name='acceptance',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='access_requests.licenceacceptance'),
        ),
        migrations.CreateModel(
            name='CoApplicant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('first_approval_at', models.DateTimeField(blank=True, null=True)),
                ('email', portal.accounts.addresses.AddressField(max_length=254)),
                ('status', models.CharField(choices=[('invited', 'invited'), ('joined', 'joined, waiting for a reviewer'), ('admitted', 'admitted'), ('declined', 'not admitted'), ('removed', 'removed')], default='invited', max_length=10)),
                ('nonce', models.CharField(blank=True, default=access_requests.models.people.new_nonce, max_length=32)),
                ('invited_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(help_text='Of the link.')),
                ('mails_sent', models.PositiveIntegerField(default=1)),
                ('joined_at', models.DateTimeField(blank=True, null=True)),
                ('affiliation', models.JSONField(default=dict, help_text='As it was when the person joined.')),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('reason', models.TextField(blank=True, help_text='Told to the person and to the applicant.')),
                ('account', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='joined_applications', to=settings.AUTH_USER_MODEL)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='coapplicants', to='access_requests.application')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('first_approval_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('acceptance', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access_requests.licenceacceptance')),
            ],
            options={
                'verbose_name': 'co-applicant',
                'ordering': ('id',),
            },
        ),
        migrations.AddField(
            model_name='application',
            name='acceptance',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='applications', to='access_requests.licenceacceptance'),
        ),
        migrations.CreateModel(
            name='ListedEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('person', 'Person'), ('organisation', 'Organisation'), ('country', 'Country')], max_length=12)),
                ('name', models.CharField(max_length=300)),
                ('aliases', models.JSONField(default=list)),
                ('country', models.CharField(blank=True, help_text='Of a listed country: its code.', max_length=2)),
                ('source', models.CharField(blank=True, max_length=300)),
                ('note', models.CharField(blank=True, max_length=300)),
                ('evidence_list', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='entries', to='access_requests.evidencelist')),
            ],
        ),
        migrations.CreateModel(
            name='ListedName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200)),
                ('entry', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='names', to='access_requests.listedentry')),
                ('evidence_list', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='access_requests.evidencelist')),
            ],
        ),
        migrations.CreateModel(
            name='ListedPair',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('person', 'Person'), ('organisation', 'Organisation'), ('country', 'Country')], max_length=12)),
                ('pair', models.CharField(max_length=5)),
                ('key', models.CharField(max_length=200)),
                ('entry', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pairs', to='access_requests.listedentry')),
                ('evidence_list', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='access_requests.evidencelist')),
            ],
        ),
        migrations.CreateModel(
            name='Message',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('body', models.TextField()),
                ('is_return', models.BooleanField(default=False)),
                ('answers_before', models.JSONField(default=dict, help_text='The answers when it was returned, to show afterwards what changed.')),
                ('affiliation_before', models.JSONField(default=dict, help_text='Likewise the affiliation.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='access_requests.application')),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.CreateModel(
            name='Note',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='notes', to='access_requests.application')),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.CreateModel(
            name='Opinion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('review', 'a review: an opinion beside the decision'), ('decision', 'the second decision: two people have to approve')], default='review', max_length=10)),
                ('question', models.TextField(blank=True)),
                ('advice', models.CharField(blank=True, choices=[('', 'not answered yet'), ('approve', 'approve'), ('refuse', 'refuse'), ('unsure', 'unsure')], default='', max_length=10)),
                ('answer', models.TextField(blank=True)),
                ('asked_at', models.DateTimeField(auto_now_add=True)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='opinions', to='access_requests.application')),
                ('asked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='opinions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.CreateModel(
            name='ReasonTemplate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=80, unique=True)),
                ('text', models.TextField(help_text='Told to the applicant.', max_length=3000)),
                ('is_active', models.BooleanField(default=True, verbose_name='offered')),
                ('family', models.ForeignKey(blank=True, help_text='Offered for this family only; for all when empty.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='reason_templates', to='catalog.family')),
            ],
            options={
                'ordering': ('title',),
            },
        ),
        migrations.CreateModel(
            name='Recusal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField(help_text='For reviewers only.')),
                ('declared_at', models.DateTimeField(auto_now_add=True)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='recusals', to='access_requests.application')),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='recusals', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Reminder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ends_at', models.DateTimeField()),
                ('days', models.PositiveIntegerField()),
                ('sent_at', models.DateTimeField(auto_now_add=True)),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reminders', to='access_requests.grant')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Renewal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('first_approval_at', models.DateTimeField(blank=True, null=True)),
                ('status', models.CharField(choices=[('open', 'waiting for a reviewer'), ('approved', 'renewed'), ('refused', 'refused')], default='open', max_length=10)),
                ('used_for', models.TextField()),
                ('publications', models.TextField(blank=True)),
                ('derivatives', models.TextField(blank=True)),
                ('first_approval_until', models.DateTimeField(blank=True, null=True)),
                ('ends_at_before', models.DateTimeField(help_text='The end of the grant when this was asked.')),
                ('asked_at', models.DateTimeField(auto_now_add=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('reason', models.TextField(blank=True, help_text='Told to the holder.')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('first_approval_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='renewals', to='access_requests.grant')),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Review',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('claimed_at', models.DateTimeField(auto_now_add=True)),
                ('outcome', models.CharField(blank=True, choices=[('', 'open'), ('released', 'given back'), ('returned', 'returned for correction'), ('approved', 'approved'), ('refused', 'refused'), ('withdrawn', 'withdrawn by the applicant'), ('endorsed', 'approved, and waiting for a second approval'), ('handed_on', 'handed to another reviewer'), ('recused', 'given up for a conflict of interest')], default='', max_length=10)),
                ('reason', models.TextField(blank=True, help_text='Told to the applicant.')),
                ('note', models.TextField(blank=True, help_text='For reviewers only.')),
                ('evidence', models.JSONField(default=list, help_text='The evidence that was on screen at the decision.')),
                ('checklist', models.JSONField(default=list, help_text='The checklist at the decision: a list of {item, ticked}.')),
                ('terms', models.JSONField(default=dict, help_text='What a first of two approvals was given for.')),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('category', models.CharField(blank=True, max_length=40)),
                ('region', models.CharField(blank=True, max_length=40)),
                ('days', models.FloatField(blank=True, help_text='From the submission, or the appeal, to the decision.', null=True)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='access_requests.application')),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('id',),
            },
        ),
        migrations.CreateModel(
            name='ReviewTarget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('days', models.PositiveSmallIntegerField(default=14, validators=[django.core.validators.MinValueValidator(1)])),
                ('family', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='review_target', to='catalog.family')),
            ],
        ),
        migrations.CreateModel(
            name='SavedFilter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('query', models.CharField(max_length=500)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_filters', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='SecondLook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seen', models.JSONField(default=dict, help_text='The application as it was at the decision: answers, affiliation, releases.')),
                ('outcome', models.CharField(blank=True, choices=[('', 'waits for you'), ('approve', 'approve'), ('refuse', 'refuse'), ('return', 'return for correction'), ('recused', 'given up for a conflict of interest')], default='', max_length=10)),
                ('reason', models.TextField(blank=True, help_text='For managers; the applicant never sees it.')),
                ('asked_at', models.DateTimeField(auto_now_add=True)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='second_looks', to='access_requests.application')),
                ('review', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='second_look', to='access_requests.review')),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='second_looks', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Waiver',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('official', 'signing official'), ('referee', 'referee')], max_length=10)),
                ('reason', models.TextField(help_text='For reviewers only.')),
                ('decided_at', models.DateTimeField(auto_now_add=True)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='waivers', to='access_requests.application')),
                ('decided_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Witness',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('official', 'signing official'), ('referee', 'referee')], max_length=10)),
                ('name', models.CharField(max_length=150)),
                ('email', portal.accounts.addresses.AddressField(max_length=254)),
                ('position', models.CharField(max_length=200)),
                ('status', models.CharField(choices=[('named', 'named, asked when you submit'), ('asked', 'asked'), ('answered', 'answered'), ('declined', 'declined'), ('lapsed', 'did not answer in time'), ('bounced', 'could not be reached by mail'), ('replaced', 'replaced by another person'), ('cancelled', 'no longer asked')], default='named', max_length=10)),
                ('nonce', models.CharField(default=access_requests.models.people.new_nonce, max_length=32)),
                ('named_at', models.DateTimeField(auto_now_add=True)),
                ('asked_at', models.DateTimeField(blank=True, help_text='By the newest mail.', null=True)),
                ('expires_at', models.DateTimeField(blank=True, help_text='Of the link.', null=True)),
                ('reminded_at', models.DateTimeField(blank=True, null=True)),
                ('mails_sent', models.PositiveIntegerField(default=0, help_text='Without the reminders.')),
                ('closed_at', models.DateTimeField(blank=True, help_text='Answered, lapsed, replaced, and so on.', null=True)),
                ('statement', models.JSONField(default=dict, help_text='For reviewers only: what was read, and what was answered.')),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='witnesses', to='access_requests.application')),
                ('mail', models.ForeignKey(blank=True, help_text='The newest; a mail that never leaves makes the person unreachable.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='mail.outgoingmail')),
            ],
            options={
                'verbose_name_plural': 'witnesses',
                'ordering': ('id',),
            },
        ),
        migrations.CreateModel(
            name='AnswerBand',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('question', models.CharField(help_text='The key of the question.', max_length=60)),
                ('value', models.BigIntegerField()),
                ('applicant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='answer_bands', to='access_requests.application')),
            ],
            options={
                'indexes': [models.Index(fields=['value', 'applicant'], name='answer_band')],
            },
        ),
        migrations.AddConstraint(
            model_name='block',
            constraint=models.CheckConstraint(condition=models.Q(('account__isnull', False), models.Q(('domain', ''), _negated=True), _connector='XOR'), name='block_names_a_person_or_a_domain'),
        ),
        migrations.AddConstraint(
            model_name='blockedaddress',
            constraint=models.UniqueConstraint(fields=('block', 'digest'), name='one_digest_per_block'),
        ),
        migrations.AddConstraint(
            model_name='evidencelist',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'current')), fields=('kind',), name='one_list_of_a_kind_in_use'),
        ),
        migrations.AddConstraint(
            model_name='form',
            constraint=models.UniqueConstraint(fields=('family', 'version'), name='one_version_per_family'),
        ),
        migrations.AddIndex(
            model_name='institution',
            index=models.Index(fields=['evidence_list', 'ror'], name='institution_ror'),
        ),
        migrations.AddIndex(
            model_name='institutiondomain',
            index=models.Index(fields=['evidence_list', 'domain'], name='institution_domain'),
        ),
        migrations.AddIndex(
            model_name='institutionname',
            index=models.Index(fields=['evidence_list', 'key'], name='institution_name'),
        ),
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(fields=['account', 'release'], name='grant_door'),
        ),
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(fields=['ends_at', 'id'], name='grant_end'),
        ),
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(fields=['status', 'id'], name='grant_status'),
        ),
        migrations.AddIndex(
            model_name='coapplicant',
            index=models.Index(fields=['status', 'id'], name='coapplicant_status'),
        ),
        migrations.AddConstraint(
            model_name='coapplicant',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['invited', 'joined', 'admitted'])), fields=('application', 'email'), name='one_place_per_address'),
        ),
        migrations.AddConstraint(
            model_name='coapplicant',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['joined', 'admitted'])), fields=('application', 'account'), name='one_place_per_account'),
        ),
        migrations.AddIndex(
            model_name='application',
            index=models.Index(models.F('state'), django.db.models.functions.comparison.Coalesce('appealed_at', 'submitted_at'), name='application_queue'),
        ),
        migrations.AddIndex(
            model_name='application',
            index=models.Index(fields=['institution_key', 'state', 'applicant'], name='application_institution'),
        ),
        migrations.AddIndex(
            model_name='application',
            index=models.Index(fields=['ror', 'state', 'applicant'], name='application_ror'),
        ),
        migrations.AddIndex(
            model_name='application',
            index=models.Index(condition=models.Q(('prepared_at', None)), fields=['updated_at'], name='application_unprepared'),
        ),
        migrations.AddIndex(
            model_name='application',
            index=models.Index(django.db.models.functions.comparison.Coalesce('appealed_at', 'submitted_at'), models.F('id'), name='application_age'),
        ),
        migrations.AddIndex(
            model_name='application',
            index=models.Index(models.F('category'), django.db.models.functions.comparison.Coalesce('appealed_at', 'submitted_at'), models.F('id'), name='application_category'),
        ),
        migrations.AddIndex(
            model_name='application',
            index=models.Index(models.F('family'), models.F('state'), django.db.models.functions.comparison.Coalesce('appealed_at', 'submitted_at'), name='application_family'),
        ),
        migrations.AddIndex(
            model_name='application',
            index=models.Index(fields=['state', 'decided_at', 'submitted_at', 'appealed_at'], name='application_times'),
        ),
        migrations.AddIndex(
            model_name='application',
            index=models.Index(condition=models.Q(('appealed_at__isnull', False)), fields=['appealed_at'], name='application_appealed'),
        ),
        migrations.AddConstraint(
            model_name='application',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['appealed', 'draft', 'in_appeal', 'in_review', 'returned', 'submitted'])), fields=('applicant', 'family'), name='one_open_application_per_family'),
        ),
        migrations.AddIndex(
            model_name='listedentry',
            index=models.Index(fields=['evidence_list', 'kind', 'country'], name='listed_country'),
        ),
        migrations.AddIndex(
            model_name='listedname',
            index=models.Index(fields=['evidence_list', 'key'], name='listed_name'),
        ),
        migrations.AddIndex(
            model_name='listedpair',
            index=models.Index(fields=['evidence_list', 'kind', 'pair'], name='listed_pair'),
        ),
        migrations.AddIndex(
            model_name='opinion',
            index=models.Index(fields=['advice', 'answered_at'], name='opinion_advice'),
        ),
        migrations.AddConstraint(
            model_name='recusal',
            constraint=models.UniqueConstraint(fields=('application', 'reviewer'), name='recused_once'),
        ),
        migrations.AddConstraint(
            model_name='reminder',
            constraint=models.UniqueConstraint(fields=('grant', 'ends_at', 'days'), name='one_reminder_each'),
        ),
        migrations.AddConstraint(
            model_name='renewal',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'open')), fields=('grant',), name='one_open_renewal_per_grant'),
        ),
        migrations.AddIndex(
            model_name='review',
            index=models.Index(fields=['closed_at', 'outcome', 'category', 'region', 'reviewer', 'days'], name='review_decisions'),
        ),
        migrations.AddConstraint(
            model_name='savedfilter',
            constraint=models.UniqueConstraint(fields=('owner', 'name'), name='one_filter_of_a_name'),
        ),
        migrations.AddIndex(
            model_name='secondlook',
            index=models.Index(condition=models.Q(('outcome', '')), fields=['reviewer'], name='second_look_open'),
        ),
        migrations.AddConstraint(
            model_name='waiver',
            constraint=models.UniqueConstraint(fields=('application', 'kind'), name='waived_once'),
        ),
        migrations.AddIndex(
            model_name='witness',
            index=models.Index(condition=models.Q(('status', 'asked')), fields=['asked_at'], name='witness_asked'),
        ),
        migrations.AddConstraint(
            model_name='witness',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['named', 'asked', 'answered'])), fields=('application', 'kind'), name='one_witness_of_a_kind'),
        ),
    ]
