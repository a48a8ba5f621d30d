"""`publish` and `withdraw` as they are typed."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from distribution.models import Revision
from portal.accounts.models import Account
from portal.catalog.models import Release


def test_the_command_publishes_and_says_so_and_the_second_time_says_that_nothing_changed(
    release: Release, folder: Path, manager: Account
) -> None:
    first, second = StringIO(), StringIO()
    call_command("publish", folder, repo="meta/llama-7b", email=manager.email, stdout=first)
    call_command("publish", folder, repo="meta/llama-7b", email=manager.email, stdout=second)
    assert "published meta/llama-7b@" in first.getvalue()
    assert "nothing changed" in second.getvalue()
    assert Revision.objects.get().published_by == manager


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"repo": "meta/unknown"}, "The catalogue has: meta/llama-7b"),
        ({"email": "nobody@lab.test"}, "no account nobody@lab.test"),
        ({"email": "mallory@lab.test"}, "Only managers"),
    ],
)
def test_the_command_fails_with_one_line(
    release: Release, folder: Path, mallory: Account, arguments: dict, said: str
) -> None:
    with pytest.raises(CommandError, match=said) as error:
        call_command("publish", folder, **({"repo": "meta/llama-7b"} | arguments))
    assert "\n" not in str(error.value)
    assert error.value.returncode == 1


def test_a_manager_without_a_second_factor_is_told_so(
    release: Release, folder: Path, manager: Account, settings: Settings
) -> None:
    settings.REQUIRE_MFA = True
    with pytest.raises(
        CommandError, match=r"second factor .* Set up an authenticator app"
    ) as error:
        call_command("publish", folder, repo="meta/llama-7b", email=manager.email)
    assert manager.email in str(error.value)
    assert not Revision.objects.exists()


def test_the_command_withdraws_once(revision: Revision) -> None:
    out = StringIO()
    reason = "--reason=Found on a torrent."
    call_command("withdraw", "meta/llama-7b", reason, stdout=out)
    assert "withdrew meta/llama-7b" in out.getvalue()
    with pytest.raises(CommandError, match="withdrawn already"):
        call_command("withdraw", "meta/llama-7b", reason)
    with pytest.raises(CommandError, match="The catalogue has: meta/llama-7b"):
        call_command("withdraw", "meta/unknown", reason)
    with pytest.raises(CommandError, match="--reason"):
        call_command("withdraw", "meta/llama-7b")
