"""Answers that are much like somebody else's are found, in bounded time."""

import random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from access_requests import evidence, likeness, services
from access_requests.evidence import answers
from access_requests.models import AnswerBand, Application
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.access_requests.evidence_files import applied, by, found
from tests.access_requests.people import ANSWERS, seen_now
from tests.people import signed_in

PLAN = (
    "We will measure how small language models represent negation. We train linear probes on the "
    "hidden states of every layer, compare them across five languages, and publish the probes, "
    "the prompts and the scores, but no weights. The work is part of a doctoral thesis."
)
COPIED = PLAN.replace("five languages", "seven languages").replace("We will", "I will")
OTHER = (
    "Our group studies how a released model can be made to refuse harmful requests after it was "
    "fine-tuned on a handful of examples. We need the smallest release alone, on a cluster that "
    "no other group can reach, and will report every failure to the publisher before we publish."
)


def test_a_copied_answer_is_found_with_its_share_and_the_other_application(
    release: Release,
) -> None:
    first = applied(by("bob@lab.test"), release, research_purpose=PLAN)
    second = applied(by("carol@lab.test"), release, research_purpose=COPIED)
    check = found(second, "alike")
    assert check.result == "attention"
    assert first.reference in check.finding
    assert check.applications == [first.pk]
    pair = evidence.alike(second)[0]
    assert (pair.text, pair.other_text) == (COPIED, PLAN)
    assert 80 <= pair.percent < 100
    assert found(first, "alike").applications == [second.pk], "whoever wrote first"


def test_the_same_text_under_another_question_is_found_too(release: Release) -> None:
    applied(by("bob@lab.test"), release, research_purpose=PLAN)
    second = applied(by("carol@lab.test"), release, intended_use=PLAN)
    assert evidence.alike(second)[0].percent == 100


def test_other_words_and_short_answers_are_not_alike(release: Release) -> None:
    applied(by("bob@lab.test"), release, research_purpose=PLAN, intended_use="Probing.")
    other = applied(by("carol@lab.test"), release, research_purpose=OTHER, intended_use="Probing.")
    check = found(other, "alike")
    assert (check.result, check.applications) == ("neutral", [])


def test_ones_own_earlier_answers_do_not_count(
    release: Release, alice: Account, rita: Account
) -> None:
    first = applied(alice, release, research_purpose=PLAN)
    services.withdraw(first.pk, actor=alice)
    again = applied(alice, release, research_purpose=PLAN)
    assert evidence.alike(again) == []


def test_a_draft_is_in_no_index(release: Release, alice: Account) -> None:
    services.start(actor=alice, releases=[release], answers={"research_purpose": PLAN})
    assert not AnswerBand.objects.exists()
    assert evidence.alike(applied(by("bob@lab.test"), release, research_purpose=PLAN)) == []


def test_what_an_applicant_is_mending_is_not_shown_to_another_case(
    release: Release, rita: Account, alice: Account
) -> None:
    first = applied(alice, release, research_purpose=PLAN)
    services.claim(first.pk, actor=rita)
    services.return_for_correction(
        first.pk, seen=seen_now(first.pk), actor=rita, message="Mend it."
    )
    services.save_draft(first.pk, actor=alice, answers={"research_purpose": OTHER})
    second = applied(by("bob@lab.test"), release, research_purpose=PLAN)
    assert evidence.alike(second)[0].other_text == PLAN, "as it was handed in"


def test_a_correction_is_indexed_anew(release: Release, rita: Account, alice: Account) -> None:
    first = applied(alice, release, research_purpose=PLAN)
    services.claim(first.pk, actor=rita)
    services.return_for_correction(
        first.pk, seen=seen_now(first.pk), actor=rita, message="Mend it."
    )
    services.save_draft(first.pk, actor=alice, answers={"research_purpose": OTHER})
    services.submit(first.pk, actor=alice, typed_name=alice.name)
    assert evidence.alike(applied(by("bob@lab.test"), release, research_purpose=PLAN)) == []
    assert evidence.alike(applied(by("carol@lab.test"), release, research_purpose=OTHER))


def test_a_reviewer_opens_both_texts_side_by_side_and_the_applicant_does_not(
    release: Release, rita: Account, alice: Account
) -> None:
    first = applied(by("bob@lab.test"), release, research_purpose=PLAN)
    second = applied(alice, release, research_purpose=COPIED)
    path = f"/admin/access_requests/application/{second.pk}/change/"
    page = signed_in(rita).get(path).content.decode()
    assert "Side by side" in page
    assert "across five languages" in page
    assert f"/admin/access_requests/application/{first.pk}/change/" in page
    own = signed_in(alice).get(second.get_absolute_url()).content.decode()
    assert "across five languages" not in own
    assert first.reference not in own


def test_the_work_is_bounded_however_many_wrote_the_same(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "COMPARED", 2)
    for at in range(4):
        applied(by(f"p{at}@lab.test"), release, research_purpose=PLAN)
    last = Application.objects.first()
    assert last is not None
    assert len(evidence.alike(last)) == 2


def test_the_chance_to_be_found_is_what_the_docstring_says() -> None:
    """Of texts that are about 80 % alike nearly all share a band; of unrelated ones nearly none."""
    chance = random.Random(7)
    words = [f"word{number}" for number in range(3000)]
    near = far = 0
    for _ in range(60):
        text = [chance.choice(words) for _ in range(120)]
        copied = [word if chance.random() > 0.06 else chance.choice(words) for word in text]
        other = [chance.choice(words) for _ in range(120)]
        one, two, three = (likeness.shingles(" ".join(one)) for one in (text, copied, other))
        if likeness.alike(one, two) >= 0.75:
            near += bool(set(likeness.bands(one)) & set(likeness.bands(two)))
        else:
            near += 1
        far += bool(set(likeness.bands(one)) & set(likeness.bands(three)))
    assert near >= 58
    assert far <= 3


def test_shingles_leave_out_marks_and_short_texts() -> None:
    assert likeness.shingles("Too short.") == frozenset()
    assert likeness.shingles(PLAN) == likeness.shingles(PLAN.upper().replace(". ", " —\n"))
    assert likeness.bands(frozenset()) == []
    assert likeness.alike(frozenset(), frozenset({1})) == 0
    assert ANSWERS["intended_use"] not in PLAN


def test_the_evidence_costs_the_same_number_of_queries_among_few_and_many(
    release: Release, alice: Account
) -> None:
    application = applied(alice, release, research_purpose=PLAN)
    applied(by("p0@lab.test"), release, research_purpose=PLAN)

    def cost() -> int:
        fresh = Application.objects.select_related("applicant", "form").get(pk=application.pk)
        with CaptureQueriesContext(connection) as queries:
            assert len(evidence.alike(fresh)) > 0
            evidence.gather(fresh)
        return len(queries)

    before = cost()
    for at in range(1, 4):
        applied(by(f"p{at}@lab.test"), release, research_purpose=PLAN)
    assert cost() == before <= 25
