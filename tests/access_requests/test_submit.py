"""From nothing to a submitted application."""

import pytest
from django.utils import timezone

from access_requests import selectors, services
from access_requests.models import Application, Form, LicenceAcceptance, State
from access_requests.questions import DEFAULT_QUESTIONS
from portal.accounts.models import Account, Affiliation
from portal.audit.models import Verb
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.access_requests.conftest import another_release
from tests.access_requests.people import ANSWERS, mails_to, verbs
from tests.people import signed_in, with_token


def refusal_of(call: object, *args: object, **kwargs: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*args, **kwargs)  # type: ignore[operator]
    return caught.value


def test_a_draft_keeps_what_was_written(draft: Application, release: Release) -> None:
    draft.refresh_from_db()
    assert draft.state == State.DRAFT
    assert draft.answers == ANSWERS
    assert list(draft.releases.all()) == [release]
    assert verbs(draft) == [Verb.APPLICATION_STARTED]


def test_starting_again_goes_on_with_the_open_application(
    draft: Application, alice: Account, second_release: Release
) -> None:
    again = services.start(actor=alice, releases=[second_release])
    assert again.pk == draft.pk
    assert Application.objects.count() == 1


def test_starting_again_with_answers_saves_them_to_the_open_draft(
    draft: Application, alice: Account, release: Release
) -> None:
    services.start(actor=alice, releases=[release], answers={"publications": "A paper."})
    draft.refresh_from_db()
    assert draft.answers == {**ANSWERS, "publications": "A paper."}


def test_starting_again_changes_nothing_of_a_submitted_one(
    submitted: Application, alice: Account, release: Release
) -> None:
    again = services.start(actor=alice, releases=[release], answers={"sharing": "nothing"})
    assert again.pk == submitted.pk
    submitted.refresh_from_db()
    assert submitted.answers["sharing"] == "outputs"


def test_after_a_withdrawal_a_new_application_can_be_started(
    withdrawn: Application, alice: Account, release: Release
) -> None:
    assert services.start(actor=alice, releases=[release]).pk != withdrawn.pk


def test_an_application_needs_a_release(alice: Account) -> None:
    refusal = refusal_of(services.start, actor=alice, releases=[])
    assert refusal.code == Code.INVALID
    assert "releases" in refusal.fields


def test_the_releases_belong_to_one_family(
    alice: Account, release: Release, licence: Licence
) -> None:
    other = Family.objects.create(slug="opt", name="OPT", publisher="meta", licence=licence)
    foreign = another_release(release, "x", family=other)
    refusal = refusal_of(services.start, actor=alice, releases=[release, foreign])
    assert (refusal.code, Application.objects.count()) == (Code.INVALID, 0)


def test_a_withdrawn_release_cannot_be_applied_for(alice: Account, release: Release) -> None:
    release.status = Release.Status.WITHDRAWN
    release.save(update_fields=["status"])
    refusal = refusal_of(services.start, actor=alice, releases=[release])
    assert refusal.code == Code.WITHDRAWN
    assert release.name in refusal.detail


def test_an_unknown_release_is_named_in_the_refusal(release: Release) -> None:
    refusal = refusal_of(selectors.releases_named, [release.slug, "meta/llama-900b"])
    assert refusal.code == Code.INVALID
    assert "meta/llama-900b" in refusal.detail
    assert release.slug not in refusal.detail
    assert selectors.releases_named([release.repo_id]) == [release]


# ---- Answers -------------------------------------------------------------------------------------


def test_a_draft_may_lack_required_answers(alice: Account, release: Release) -> None:
    assert services.start(actor=alice, releases=[release], answers={}).answers == {}


def test_unknown_answers_are_dropped(alice: Account, release: Release) -> None:
    application = services.start(
        actor=alice, releases=[release], answers={"shoe_size": "43", **ANSWERS}
    )
    assert application.answers == ANSWERS


def test_an_answer_that_is_too_long_says_how_long_it_is_and_may_be(
    draft: Application, alice: Account
) -> None:
    refusal = refusal_of(
        services.save_draft, draft.pk, actor=alice, answers={"research_purpose": "x" * 4001}
    )
    (line,) = refusal.fields["research_purpose"]
    assert "4001" in line
    assert "4000" in line
    draft.refresh_from_db()
    assert draft.answers == ANSWERS


def test_an_answer_of_just_the_allowed_length_is_kept(draft: Application, alice: Account) -> None:
    text = "x" * 3999 + "\r\n"  # a browser's line end counts as one character
    services.save_draft(draft.pk, actor=alice, answers={"research_purpose": text.strip() + "é"})
    draft.refresh_from_db()
    assert len(draft.answers["research_purpose"]) == 4000


@pytest.mark.parametrize("wrong", [5, True, ["a"], {"a": "b"}, "half \ud800 of a pair", "a\0b"])
def test_an_answer_of_the_wrong_type_is_refused(
    draft: Application, alice: Account, wrong: object
) -> None:
    refusal = refusal_of(
        services.save_draft, draft.pk, actor=alice, answers={"research_purpose": wrong}
    )
    assert refusal.code == Code.INVALID
    assert list(refusal.fields) == ["research_purpose"]


def test_answers_that_are_no_object_are_refused(draft: Application, alice: Account) -> None:
    assert (
        refusal_of(services.save_draft, draft.pk, actor=alice, answers=["a"]).code == Code.INVALID
    )


def test_a_choice_outside_the_choices_is_refused(draft: Application, alice: Account) -> None:
    refusal = refusal_of(services.save_draft, draft.pk, actor=alice, answers={"sharing": "perhaps"})
    assert "outputs" in refusal.fields["sharing"][0]


def test_saving_one_answer_leaves_the_others(draft: Application, alice: Account) -> None:
    services.save_draft(draft.pk, actor=alice, answers={"sharing": "nothing"})
    draft.refresh_from_db()
    assert draft.answers == {**ANSWERS, "sharing": "nothing"}


EVERY_TYPE = [
    {"key": "name", "label": "Group", "type": "text", "required": True},
    {"key": "page", "label": "Page", "type": "url"},
    {"key": "people", "label": "People", "type": "number"},
    {"key": "offline", "label": "Kept offline", "type": "boolean", "required": True},
]


def test_every_type_of_question_is_checked(
    alice: Account, family: Family, release: Release
) -> None:
    services.make_form(family, EVERY_TYPE)
    good = {"name": "Probing", "page": "https://a.example/x", "people": 4, "offline": True}
    application = services.start(actor=alice, releases=[release], answers=good)
    assert application.answers == good
    wrong = {"name": 1, "page": 2, "people": "many", "offline": "yes"}
    refusal = refusal_of(services.save_draft, application.pk, actor=alice, answers=wrong)
    assert set(refusal.fields) == set(wrong)


def test_a_draft_may_hold_half_an_address_and_a_submission_may_not(
    alice: Account, family: Family, release: Release
) -> None:
    services.make_form(family, EVERY_TYPE)
    answers = {"name": "Probing", "page": "a.example", "offline": False}
    application = services.start(actor=alice, releases=[release], answers=answers)
    refusal = refusal_of(services.submit, application.pk, actor=alice, typed_name=alice.name)
    assert set(refusal.fields) == {"page", "offline"}
    application.refresh_from_db()
    assert (application.state, application.answers) == (State.DRAFT, answers)


# ---- Submission ----------------------------------------------------------------------------------


def test_a_submission_writes_acceptance_affiliation_event_and_receipt(
    submitted: Application, alice: Account, licence: Licence
) -> None:
    submitted.refresh_from_db()
    acceptance = LicenceAcceptance.objects.get()
    assert submitted.state == State.SUBMITTED
    assert submitted.acceptance == acceptance
    assert acceptance.licence_version == licence.current
    assert acceptance.text_sha256 == licence.current.sha256
    assert submitted.affiliation["institution"] == "University of Testing"
    assert verbs(submitted) == [Verb.APPLICATION_STARTED, Verb.APPLICATION_SUBMITTED]
    assert verbs(acceptance) == [Verb.LICENCE_ACCEPTED]
    assert mails_to(alice) == ["application_submitted"]


def test_the_receipt_says_what_happens_next(submitted: Application, alice: Account) -> None:
    mail = OutgoingMail.objects.get()
    assert submitted.reference in mail.subject
    assert "Position in the queue: 1" in mail.body
    assert "What happens next" in mail.body
    assert f"http://testserver{submitted.get_absolute_url()}" in mail.body


def test_a_mail_spells_names_as_they_are(release: Release) -> None:
    from tests.access_requests.people import applicant

    person = applicant("o'brien & sons")
    application = services.start(actor=person, releases=[release], answers=ANSWERS)
    services.submit(application.pk, actor=person, typed_name=person.name)
    assert f"Dear {person.name}," in OutgoingMail.objects.get().body


def test_submitting_twice_says_so_and_writes_nothing_twice(
    submitted: Application, alice: Account
) -> None:
    refusal = refusal_of(services.submit, submitted.pk, actor=alice, typed_name=alice.name)
    assert refusal.code == Code.WRONG_STATE
    assert "already submitted" in refusal.detail
    assert mails_to(alice) == ["application_submitted"]
    assert verbs(submitted).count(Verb.APPLICATION_SUBMITTED) == 1
    assert LicenceAcceptance.objects.count() == 1


@pytest.mark.parametrize("typed", ["alice example", "  ALICE   Example ", "AliceExample"])
def test_capitals_and_spaces_of_the_typed_name_do_not_matter(
    draft: Application, alice: Account, typed: str
) -> None:
    assert services.submit(draft.pk, actor=alice, typed_name=typed).state == State.SUBMITTED


@pytest.mark.parametrize("typed", ["", "Alice", "Mallory Example", "Alice Exampl"])
def test_another_name_accepts_nothing(draft: Application, alice: Account, typed: str) -> None:
    refusal = refusal_of(services.submit, draft.pk, actor=alice, typed_name=typed)
    assert "Alice Example" in refusal.fields["typed_name"][0]
    assert not LicenceAcceptance.objects.exists()
    draft.refresh_from_db()
    assert draft.state == State.DRAFT


def test_an_account_without_a_name_accepts_nothing(draft: Application, alice: Account) -> None:
    Account.objects.filter(pk=alice.pk).update(name="")
    alice.refresh_from_db()
    assert refusal_of(services.submit, draft.pk, actor=alice, typed_name="").code == Code.INVALID


def test_a_submission_needs_an_affiliation(mallory: Account, release: Release) -> None:
    application = services.start(actor=mallory, releases=[release], answers=ANSWERS)
    refusal = refusal_of(services.submit, application.pk, actor=mallory, typed_name=mallory.name)
    assert refusal.code == Code.INVALID
    assert refusal.url.startswith("/account/?next=/applications/")


def test_a_submission_needs_the_required_answers(alice: Account, release: Release) -> None:
    application = services.start(actor=alice, releases=[release], answers={"sharing": "nothing"})
    refusal = refusal_of(services.submit, application.pk, actor=alice, typed_name=alice.name)
    assert set(refusal.fields) == {"research_purpose", "intended_use"}


def test_a_submission_needs_a_release_that_was_not_withdrawn(
    draft: Application, alice: Account, release: Release
) -> None:
    release.status = Release.Status.WITHDRAWN
    release.save(update_fields=["status"])
    assert (
        refusal_of(services.submit, draft.pk, actor=alice, typed_name=alice.name).code
        == Code.WITHDRAWN
    )


def test_a_licence_that_changed_under_the_readers_eyes_is_read_again(
    draft: Application, alice: Account, licence: Licence
) -> None:
    read = licence.current.sha256
    LicenceVersion.objects.create(
        licence=licence, number=2, text="Another text.", published_at=timezone.now()
    )
    refusal = refusal_of(
        services.submit, draft.pk, actor=alice, typed_name=alice.name, text_sha256=read
    )
    assert refusal.code == Code.LICENCE_CHANGED
    accepted = services.submit(
        draft.pk, actor=alice, typed_name=alice.name, text_sha256=licence.current.sha256
    )
    assert accepted.acceptance is not None
    assert accepted.acceptance.licence_version.number == 2


# ---- Returned, corrected, withdrawn --------------------------------------------------------------


def test_a_corrected_application_goes_back_to_its_reviewer(
    returned: Application, alice: Account, rita: Account
) -> None:
    services.save_draft(
        returned.pk, actor=alice, answers={"intended_use": "Probing on the corpus X."}
    )
    again = services.submit(returned.pk, actor=alice, typed_name=alice.name)
    assert again.state == State.IN_REVIEW
    assert again.claimed_by == rita
    assert again.submitted_at == returned.submitted_at
    assert mails_to(rita) == ["application_corrected"]
    message = again.messages.get()
    assert message.answers_before["intended_use"] == ANSWERS["intended_use"]
    assert again.reviews.count() == 2


def test_an_affiliation_changed_in_a_correction_is_marked_like_an_answer(
    returned: Application, alice: Account, rita: Account, mallory: Account
) -> None:
    """The reviewer asked for a page at the institution, which is part of the profile."""
    edit = f"/applications/{returned.pk}/edit/"
    page = signed_in(alice).get(edit).text
    assert f'href="/account/?next={edit}"' in page
    mine = Affiliation.objects.get(account=alice)
    mine.web_page = "https://lab.test/people/alice"
    mine.save()
    again = services.submit(returned.pk, actor=alice, typed_name=alice.name)
    body = OutgoingMail.objects.get(template="application_corrected").body
    assert "- Web page\n" in body
    assert "- Institution" not in body
    shown = (
        signed_in(rita)
        .get(f"/admin/access_requests/application/{returned.pk}/change/")
        .content.decode()
    )
    part = shown.split("Affiliation, as submitted")[1].split("</section>")[0]
    assert part.count("changed</span>") == 1
    assert part.index("https://lab.test/people/alice") < part.index("changed</span>")
    review = with_token(rita).get(f"/api/v1/applications/{again.pk}/").json()["review"]
    assert review["corrected"] == ["Web page"]
    own = with_token(alice).get(f"/api/v1/applications/{again.pk}/").json()
    assert own["review"] is None


def test_a_correction_that_changes_nothing_says_so(
    returned: Application, alice: Account, rita: Account
) -> None:
    services.submit(returned.pk, actor=alice, typed_name=alice.name)
    mail = OutgoingMail.objects.get(template="application_corrected")
    assert "Nothing in the answers or the affiliation changed" in mail.body


def test_a_correction_of_a_claim_given_back_waits_for_anybody(
    returned: Application, alice: Account, rita: Account
) -> None:
    services.release(returned.pk, actor=rita)
    again = services.submit(returned.pk, actor=alice, typed_name=alice.name)
    assert again.state == State.SUBMITTED
    assert mails_to(rita) == []


def test_a_submitted_application_cannot_be_changed(submitted: Application, alice: Account) -> None:
    refusal = refusal_of(
        services.save_draft, submitted.pk, actor=alice, answers={"sharing": "nothing"}
    )
    assert refusal.code == Code.WRONG_STATE


def test_a_withdrawal_ends_the_application_and_closes_the_review(
    in_review: Application, alice: Account
) -> None:
    services.withdraw(in_review.pk, actor=alice)
    assert in_review.reviews.get().outcome == "withdrawn"
    assert mails_to(alice)[-1] == "application_withdrawn"
    assert refusal_of(services.withdraw, in_review.pk, actor=alice).code == Code.WRONG_STATE


# ---- Forms ---------------------------------------------------------------------------------------


def test_a_family_without_a_form_gets_the_default_questions(draft: Application) -> None:
    assert draft.form.questions == DEFAULT_QUESTIONS
    assert draft.form.version == 1


def test_a_new_version_is_asked_from_then_on_and_old_drafts_keep_theirs(
    draft: Application, family: Family
) -> None:
    second = services.make_form(family, EVERY_TYPE)
    assert second.version == 2
    assert selectors.current_form(family) == second
    draft.refresh_from_db()
    assert draft.form.version == 1


def test_a_form_that_is_answered_is_frozen(
    draft: Application, family: Family, manager: Account
) -> None:
    frozen = refusal_of(services.change_form, draft.form_id, EVERY_TYPE, actor=manager)
    assert frozen.code == Code.WRONG_STATE
    free = services.make_form(family, EVERY_TYPE)
    assert services.change_form(free.pk, EVERY_TYPE[:1], actor=manager).questions == EVERY_TYPE[:1]


@pytest.mark.parametrize(
    ("questions", "words"),
    [
        ([], "at least one"),
        ("x", "list"),
        (["x"], "object"),
        ([{"key": "a b", "label": "A", "type": "text"}], "`key`"),
        ([{"key": "a", "label": " ", "type": "text"}], "`label`"),
        ([{"key": "a", "label": "A", "type": "essay"}], "`type`"),
        ([{"key": "a", "label": "A", "type": "choice"}], "`choices`"),
        ([{"key": "a", "label": "A", "type": "text", "max_length": 0}], "`max_length`"),
        ([{"key": "a", "label": "A", "type": "text", "colour": "red"}], "colour"),
        ([{"key": "a", "label": "A", "type": "text"}] * 2, "twice"),
    ],
)
def test_questions_that_make_no_form_are_refused(
    family: Family, questions: object, words: str
) -> None:
    refusal = refusal_of(services.make_form, family, questions)
    assert refusal.code == Code.INVALID
    assert words in refusal.detail
    assert not Form.objects.exists()
