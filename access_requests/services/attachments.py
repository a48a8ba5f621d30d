"""Files of an application: stored privately, checked by their bytes."""

import hashlib
import re
import unicodedata
from functools import partial
from pathlib import PurePosixPath

from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from access_requests.files import ATTACHMENT_LIMIT, ENDINGS, real_type
from access_requests.models import Application, Attachment
from access_requests.services.acts import act
from access_requests.workflow import Action
from portal.accounts.models import Account
from portal.refusals import Code, Refusal

KEPT_AT_MOST = 60  # files of one application, those replaced after a return among them


def attach(application_id: int, question: str, file: UploadedFile, *, actor: Account) -> Attachment:
    """Keep a file as the answer to an attachment question, instead of the one before it.

    Raises Refusal INVALID (no such question, too large, too many, not a whole PDF, PNG or JPEG),
    WRONG_STATE, NOT_FOUND.
    """
    with act(application_id, Action.SAVE, actor=actor) as (application, _):
        _check_question(application, question)
        if application.attachments.count() >= KEPT_AT_MOST:
            raise invalid(question, "This application holds too many files already.")
        content, media_type = _read(question, file)
        made = Attachment(
            application=application,
            question=question,
            name=_safe_name(file.name or "", media_type),
            media_type=media_type,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        made.file.save("", ContentFile(content, name="file"), save=False)
        try:
            with transaction.atomic():
                made.save()
                _forget(application, question)
                application.answers = {**application.answers, question: made.answer()}
                application.save(update_fields=["answers", "updated_at"])
        except Exception:
            made.file.storage.delete(str(made.file.name))
            raise
    return made


def detach(application_id: int, question: str, *, actor: Account) -> Application:
    """Take the file of a question away; doing it twice is no harm.

    Raises Refusal INVALID (no such question), WRONG_STATE, NOT_FOUND.
    """
    with act(application_id, Action.SAVE, actor=actor) as (application, _):
        _check_question(application, question)
        _forget(application, question)
        application.answers = {k: v for k, v in application.answers.items() if k != question}
        application.save(update_fields=["answers", "updated_at"])
    return application


def _forget(application: Application, question: str) -> None:
    """Delete the file that the answer names, unless a reviewer has had it before them."""
    answer = application.answers.get(question)
    if application.submitted_at or not isinstance(answer, dict):
        return
    for old in application.attachments.filter(public_id=answer["id"]):
        old.delete()
        transaction.on_commit(partial(old.file.storage.delete, str(old.file.name)))


def _check_question(application: Application, question: str) -> None:
    keys = {one["key"] for one in application.form.questions if one["type"] == "attachment"}
    if question not in keys:
        raise invalid(question, "This form has no such question for a file.")


def _read(question: str, file: UploadedFile) -> tuple[bytes, str]:
    if not 0 < (file.size or 0) <= ATTACHMENT_LIMIT:
        most = ATTACHMENT_LIMIT // 2**20
        raise invalid(question, f"A file has at most {most} MB, and is not empty.")
    content = file.read()
    media_type = real_type(content)
    if media_type is None:
        raise invalid(
            question,
            "This is not a whole PDF, PNG or JPEG file; its content decides, not its name.",
        )
    return content, media_type


def _safe_name(name: str, media_type: str) -> str:
    """The person's name for the file, printable, with the ending of what it really is."""
    printable = "".join(c for c in name if unicodedata.category(c)[0] not in "CZ" or c == " ")
    stem = PurePosixPath(re.sub(r'[\\/:*?"<>|]', "_", printable)).stem.strip(" .")[:120]
    return f"{stem or 'file'}{ENDINGS[media_type]}"


def invalid(question: str, text: str) -> Refusal:
    return Refusal(
        Code.INVALID, text, "Choose another file; your answers are kept.", fields={question: [text]}
    )
