"""Sign-in with ORCID, in a process of its own: the settings decide at its start whether it is offered."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys, types
from portal import settings as ours
made = types.ModuleType("made")
made.__dict__.update({k: v for k, v in vars(ours).items() if k.isupper()})
class Nothing:
    __contains__ = lambda self, app: True
    __getitem__ = lambda self, app: None
made.MIGRATION_MODULES = Nothing()
made.STORAGES = {**ours.STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
made.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
made.ALLOWED_HOSTS = ["*"]
sys.modules["made"] = made

import django
django.setup()
from urllib.parse import parse_qs, urlsplit
from allauth.socialaccount.models import SocialAccount
from django.core.management import call_command
from django.test import Client
from portal.accounts.models import Account
from portal.accounts.orcid import linked_orcid
from portal.audit.models import Event
call_command("migrate", run_syncdb=True, verbosity=0)

from allauth.socialaccount.providers.oauth2.client import OAuth2Client
from allauth.socialaccount.providers.orcid.views import OrcidOAuth2Adapter
IID = "0000-0002-1825-0097"
OAuth2Client.get_access_token = lambda self, code, **more: {"access_token": "t", "orcid": IID}
OrcidOAuth2Adapter.complete_login = lambda self, request, app, token, **more: (
    self.get_provider().sociallogin_from_response(request, {"orcid-identifier": {"path": IID}})
)

def through_orcid(client, **data):
    sent = client.post("/account/orcid/login/", data)
    assert sent.status_code == 302 and sent.url.startswith("https://sandbox.orcid.org/oauth/authorize?"), sent
    query = parse_qs(urlsplit(sent.url).query)
    assert query["client_id"] == ["APP-1"] and query["scope"] == ["/authenticate"], query
    return client.get("/account/orcid/login/callback/", {"code": "c", "state": query["state"][0]}, follow=True)

page = Client().get("/account/login/")
assert "Sign in with ORCID" in page.text
assert "https://sandbox.orcid.org" in page["Content-Security-Policy"].partition("form-action")[2]

stranger = Client()
assert "No account here is linked" in through_orcid(stranger).text
assert "_auth_user_id" not in stranger.session and not Account.objects.exists()

alice = Account.objects.create_user("alice@lab.test", "a-password-for-tests", name="Alice Example")
alice.emailaddress_set.create(email=alice.email, verified=True, primary=True)
home = Client()
home.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
home.session["account_authentication_methods"] = []
assert "Link my ORCID iD" in home.get("/account/3rdparty/").text
assert IID in through_orcid(home, process="connect").text
assert linked_orcid(alice) == IID
assert Event.objects.filter(verb="account.sign_in_linked", actor=alice).count() == 1

again = Client()
through_orcid(again)
assert again.session["_auth_user_id"] == str(alice.pk)
gone = home.post("/account/3rdparty/", {"account": SocialAccount.objects.get().pk})
assert gone.status_code == 302 and linked_orcid(alice) == ""
assert Event.objects.filter(verb="account.sign_in_unlinked", actor=alice).count() == 1
print("done")
"""


def run(home: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    given = {k: v for k, v in os.environ.items() if not k.startswith(("WEIGHBRIDGE_", "DJANGO_"))}
    named = {f"WEIGHBRIDGE_{name}": value for name, value in variables.items()}
    environment = {
        **given,
        "WEIGHBRIDGE_HOME": str(home),
        "DATABASE_URL": "sqlite://:memory:",
        "DJANGO_SETTINGS_MODULE": "made",
        **named,
    }
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def test_a_linked_id_signs_in_and_one_that_is_not_linked_makes_no_account(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        SCRIPT,
        ORCID_CLIENT_ID="APP-1",
        ORCID_CLIENT_SECRET="s",
        ORCID_DOMAIN="sandbox.orcid.org",
    )
    assert done.stdout.strip() == "done", done.stderr[-3000:]


@pytest.mark.parametrize(
    "half", [{"ORCID_CLIENT_ID": "APP-1"}, {"ORCID_DOMAIN": "evil.example"}], ids=str
)
def test_half_a_registration_stops_the_start(tmp_path: Path, half: dict[str, str]) -> None:
    done = run(tmp_path, "import portal.settings", **half)
    assert "ORCID" in done.stderr.splitlines()[-1]
    assert done.returncode == 1


def test_it_is_not_offered_unless_it_is_set_up(client: object, db: None) -> None:
    from django.test import Client

    assert "ORCID" not in Client().get("/account/login/").text
