"""The document by which an application is found: written when it is handed in, and when the person
gets another name.
"""

from collections.abc import Mapping
from typing import Any

from access_requests import selectors
from access_requests.models import Application
from access_requests.questions import asked, shown
from access_requests.search_words import document_of
from portal.accounts.models import Account


def search_document(application: Application, answers: Mapping[str, Any] | None = None) -> str:
    """Reference, name, address, affiliation and answers, as plain words."""
    given = application.answers if answers is None else answers
    person = application.applicant
    texts = [application.reference, person.name, person.email]
    texts += [text for text in application.affiliation.values() if isinstance(text, str)]
    for question in asked(application.form.questions):
        answer = given.get(question["key"])
        if isinstance(answer, str | list | dict):
            texts.append(shown(question, answer))
    return document_of(texts)


def account_saved(instance: Account, created: bool, update_fields: Any = None, **_: Any) -> None:
    """After an account was saved, by whichever door: its applications are found by its new name."""
    names_may_differ = update_fields is None or {"name", "email"} & set(update_fields)
    if created or not names_may_differ:
        return
    handed_in = instance.applications.exclude(search_text="")
    for application in handed_in.select_related("form", "applicant"):
        # Of one that was returned, what was handed in: not what is being typed now.
        answers = selectors.answers_on_the_table(application).answers
        document = search_document(application, answers)
        instance.applications.filter(pk=application.pk).update(search_text=document)
