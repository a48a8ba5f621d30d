from django.db import migrations

from access_requests import search_index


class Migration(migrations.Migration):
    dependencies = [("access_requests", "0001_initial")]
    operations = [migrations.RunPython(search_index.install, search_index.remove)]
