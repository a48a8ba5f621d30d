"""Runs of an erased person: that they were stays, the texts do not, in the database nor in Redis."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access_requests.models import Grant
from distribution.models import Revision
from inference_sandbox import stream
from inference_sandbox.models import Report, Run, RunTokens
from portal.accounts import erasing, own_data
from portal.accounts.models import Account, Erasure
from portal.catalog.models import Release
from tests.inference_sandbox.conftest import give
from tests.people import person


def ran(account: Account, release: Release, revision: Revision) -> Run:
    """Under a grant that has ended since."""
    grant = give(account, release)
    Grant.objects.filter(pk=grant.pk).update(ends_at=timezone.now())
    run = Run.objects.create(
        account=account,
        grant=grant,
        release=release,
        revision=revision,
        prompt="What am I called?",
        output="Alice.",
        output_ids=[1, 2],
        note="My name",
        shared=True,
        seed=7,
        prompt_tokens=5,
        status=Run.Status.FINISHED,
    )
    RunTokens.objects.create(run=run, output=[[1, "Alice", -0.1, 0.2, []]])
    writer = stream.Writer.take(run.pk)
    assert writer is not None
    writer.append(stream.Kind.TOKEN, text="Alice.")
    writer.release()
    return run


@pytest.mark.django_db(transaction=True)
def test_texts_are_forgotten_and_numbers_kept(alice: Account, release: Release) -> None:
    revision = Revision.objects.create(release=release, digest="ab" * 20, layout="original")
    hers, others = ran(alice, release, revision), ran(person("bob"), release, revision)
    assert stream.tokens_so_far(hers.pk)
    assert [run["prompt"] for run in own_data.own_data(alice)["runs"]] == ["What am I called?"]
    hers_by_another = Report.objects.create(
        run=hers, reporter=others.account, kind="privacy", text="It names Alice."
    )
    by_her = Report.objects.create(run=others, reporter=alice, kind="bias", text="I am Alice.")
    Erasure.objects.create(
        account=alice, asked_by=alice, due_at=timezone.now() - timedelta(seconds=1)
    )
    erasing.erase(alice.pk)
    hers.refresh_from_db()
    others.refresh_from_db()
    assert (hers.prompt, hers.output, hers.note, hers.output_ids) == ("", "", "", [])
    assert hers.shared is False
    assert list(RunTokens.objects.values_list("run", flat=True)) == [others.pk]
    for report in (hers_by_another, by_her):
        report.refresh_from_db()
        assert report.text == ""
    assert (hers.prompt_tokens, hers.status) == (5, "finished")
    assert stream.tokens_so_far(hers.pk) == []
    assert (others.prompt, others.output) == ("What am I called?", "Alice.")
    assert stream.tokens_so_far(others.pk)
