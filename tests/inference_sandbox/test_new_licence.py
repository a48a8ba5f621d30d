"""A new licence version that suspends is so in the sandbox at the next prompt."""

import pytest

from access_requests.models import Grant
from access_requests.services import accept_licence, publish_version
from portal.accounts.models import Account
from portal.catalog.models import LicenceVersion, Release
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt


def test_the_next_prompt_is_refused_until_the_new_version_is_accepted(
    prompt: Prompt, tiny: Release, grant: Grant, alice: Account, manager: Account
) -> None:
    prompt()
    publish_version(
        tiny.family.licence_id,
        actor=manager,
        text="A new text.",
        standing=LicenceVersion.Standing.SUSPEND,
    )
    with pytest.raises(Refusal) as refused:
        prompt()
    assert refused.value.code == Code.LICENCE_CHANGED
    accept_licence(grant.pk, actor=alice, typed_name=alice.name)
    prompt()
