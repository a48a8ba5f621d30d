import django.db.models.deletion
import django.utils.timezone
import portal.accounts.addresses
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='OutgoingMail',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('to', portal.accounts.addresses.AddressField(max_length=254)),
                ('template', models.CharField(max_length=80)),
                ('subject', models.CharField(max_length=200)),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('last_error', models.TextField(blank=True)),
                ('forget', models.BooleanField(default=False, help_text='Its address and text are cleared as soon as it left.')),
                ('about', models.ManyToManyField(blank=True, help_text='Whom it names, beside its reader: erasing one of them clears it.', related_name='mails_about', to=settings.AUTH_USER_MODEL)),
                ('account', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='mails', to=settings.AUTH_USER_MODEL)),
                ('sender', models.ForeignKey(blank=True, help_text='The person whose act sent it, where that act is limited.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='mails_caused', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-id',),
                'indexes': [models.Index(condition=models.Q(('sent_at', None)), fields=['next_attempt_at'], name='mail_waiting'), models.Index(fields=['to', 'created_at'], name='mail_to')],
            },
        ),
    ]
