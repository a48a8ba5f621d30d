"""The queue, and the page on which an application is reviewed."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_POST
from unfold.decorators import action, display

from access_requests import evidence, selectors, services, versions, words
from access_requests.admin import fairness
from access_requests.admin import review_forms as fill_in
from access_requests.admin.desk import Desk, reviewer
from access_requests.admin.filters import (
    AgeFilter,
    CategoryFilter,
    ClaimFilter,
    StateFilter,
    TabFilter,
)
from access_requests.models import WAITS, Application, State
from access_requests.workflow import AWAITED_IN, THE_DESK, Action, Role, actions_for
from portal.accounts.models import Account
from portal.accounts.roles import is_manager
from portal.refusals import Refusal

Given = dict[str, Any]
TOLD = {
    Action.CLAIM: "It is yours to review.",
    Action.RELEASE: "It is back in the queue.",
    Action.RETURN: "Returned; the applicant is told by mail.",
    Action.APPROVE: "Approved; the grants are open, and the applicant is told by mail.",
    Action.REFUSE: "Refused; the applicant is told by mail, with the reason.",
    Action.WRITE: "Sent; the applicant is told by mail.",
    Action.ASSIGN: "Assigned; the colleague is told by mail.",
    Action.ASK: "Asked; the colleague is told by mail.",
    Action.RECUSE: "Noted: you act on it no more.",
    "ask_again": "Sent again, with a new link; the older one opens nothing more.",
    "go_without": "Noted: it can be approved without that answer. The reason is kept.",
    "note": "The note is kept, for reviewers alone.",
    "advise": "Your advice is kept; who asked for it is told by mail.",
}
ENDORSED = "Approved by you. A second person has to approve before any grant opens."
GROUPS = {"attention": "Look closer", "supports": "Supports", "neutral": "Says nothing either way"}
FORMS: dict[str, Callable[[Application, Any], forms.Form]] = {
    Action.RETURN: lambda _, data: fill_in.ReturnForm(data),
    Action.WRITE: lambda _, data: fill_in.MessageForm(data),
    Action.RECUSE: lambda _, data: fill_in.RecuseForm(data),
    "note": lambda _, data: fill_in.NoteForm(data),
    "advise": lambda _, data: fill_in.AdviseForm(data),
    "ask_again": lambda _, data: fill_in.AskAgainForm(data),
    "go_without": fill_in.GoWithoutForm,
    Action.REFUSE: fill_in.RefuseForm,
    Action.APPROVE: fill_in.ApproveForm,
    Action.ASSIGN: fill_in.ColleagueForm,
    Action.ASK: fill_in.AskForm,
}


@admin.register(Application)
class ApplicationAdmin(Desk):
    page_template = "access_requests/review/application.html"
    list_display = ("row", "applicant_shown", "asked", "state_shown", "age", "claimed_by")
    list_display_links = ("row",)
    list_filter = (TabFilter, StateFilter, "family", CategoryFilter, ClaimFilter, AgeFilter)
    list_before_template = "access_requests/review/tabs.html"
    actions = ("share_out", "remind")
    sortable_by = ("row", "age")
    search_fields = ("search_text",)  # shows the box; what it finds is said by `search`
    search_help_text = "Name, e-mail, institution, reference, or words of the answers"
    ordering = (WAITS.asc(), "id")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Application]":
        rows = selectors.seen_by(reviewer(request), selectors.submitted(), "pk")
        return rows.order_by(*self.ordering)

    def found(self, request: HttpRequest, object_id: str) -> Any:
        if self.has_view_permission(request) and object_id.isdecimal():
            selectors.check_not_blind(reviewer(request), int(object_id))
        return super().found(request, object_id)

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Application]", search_term: str
    ) -> tuple["QuerySet[Application]", bool]:
        if selectors.reference_in(search_term):  # whatever the tab and the filters
            queryset = self.get_queryset(request)
        return selectors.search(queryset, search_term), False

    @display(description="Application", ordering="pk")
    def row(self, obj: Application) -> str:
        return obj.reference

    @display(description="Applicant", header=True)
    def applicant_shown(self, obj: Application) -> list[str]:
        return [obj.applicant.name, obj.affiliation.get("institution", "")]

    @display(description="Asks for")
    def asked(self, obj: Application) -> str:
        return ", ".join(release.name for release in obj.releases.all())

    @display(
        description="State",
        label={
            State.SUBMITTED.label: "info",
            State.IN_REVIEW.label: "warning",
            State.APPROVED.label: "success",
            State.REFUSED.label: "danger",
        },
    )
    def state_shown(self, obj: Application) -> str:
        return str(obj.get_state_display())

    @display(
        description="Waits",
        ordering=WAITS,
        label={"ok": "success", "soon": "warning", "over": "danger", "": ""},
    )
    def age(self, obj: Application) -> tuple[str, str]:
        waits = selectors.age_of(obj)
        return (waits.level, waits.words) if waits else ("", _waited(obj))

    def get_actions(self, request: HttpRequest) -> Any:
        """Bulk acts are for managers; deciding is never one of them."""
        return super().get_actions(request) if is_manager(request.user) else {}

    @action(description="Share out by load: each unclaimed one to who has the fewest")
    def share_out(self, request: HttpRequest, queryset: "QuerySet[Application]") -> None:
        ids = list(queryset.values_list("pk", flat=True))
        done = services.share_out(ids, actor=reviewer(request))
        left = len(ids) - len(done)
        told = f"{len(done)} assigned; the reviewers are told by mail."
        messages.success(request, told + (f" {left} passed over: claimed already." if left else ""))

    @action(description="Remind by mail whoever each one waits for")
    def remind(self, request: HttpRequest, queryset: "QuerySet[Application]") -> None:
        ids = list(queryset.values_list("pk", flat=True))
        sent = services.remind(ids, actor=reviewer(request))
        messages.success(request, f"{sent} reminded.")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            return super().changelist_view(request, extra_context)
        person = reviewer(request)
        counts = selectors.tab_counts(person)
        chosen = request.GET.get("tab") or ("" if request.GET.get("state") else "queue")
        context = {
            "tabs": [
                {"key": key, "label": label, "count": counts[key], "is_here": key == chosen}
                for key, label in selectors.TABS.items()
            ],
            "saved_filters": person.saved_filters.all(),
            "query": request.GET.urlencode(),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def to_next(self, request: HttpRequest, pk: int = 0) -> HttpResponse:
        """The next application to review, after the one on screen."""
        self.desk_only(request)
        here = selectors.submitted().filter(pk=pk).first()
        found = selectors.next_for(reviewer(request), here)
        if found is None:
            messages.info(request, "Nothing else waits for you.")
            return redirect("admin:access_requests_application_changelist")
        return redirect(self.url_of(found))

    def save_filter(self, request: HttpRequest) -> HttpResponse:
        """Keep the list's address under a name, or forget that name."""
        self.desk_only(request)
        query, name = request.POST.get("query", ""), request.POST.get("name", "")
        try:
            if "forget" in request.POST:
                services.remove_filter(actor=reviewer(request), name=name)
            else:
                services.save_filter(actor=reviewer(request), name=name, query=query)
        except Refusal as refusal:
            messages.error(request, refusal.text)
        here = reverse("admin:access_requests_application_changelist")
        return redirect(f"{here}?{query}")

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="access_requests_application_act",
        )
        view = self.admin_site.admin_view
        more = [
            path("next/", view(require_GET(self.to_next)), name="access_requests_next"),
            path("<int:pk>/next/", view(require_GET(self.to_next)), name="access_requests_next"),
            path(
                "filters/", view(require_POST(self.save_filter)), name="access_requests_save_filter"
            ),
            path(
                "fairness/",
                view(require_GET(fairness.page_of(self.admin_site))),
                name="access_requests_fairness",
            ),
        ]
        return [act, *more, *super().get_urls()]

    def form_for(self, action: str, obj: Application, data: Any) -> forms.Form:
        make = FORMS.get(action)
        form = make(obj, data) if make else forms.Form(data or {})
        form.auto_id = f"id_{action}_%s"  # several forms on one page share field names
        return form

    def perform(self, action: str, obj: Application, form: forms.Form, actor: Account) -> str:
        told = self._decide(action, obj, form, actor)
        if told is None and not self._do(action, obj.pk, form.cleaned_data, actor):
            raise services.unknown_action(action)
        return told or TOLD[action]

    def _decide(
        self, action: str, obj: Application, form: forms.Form, actor: Account
    ) -> str | None:
        match form:
            case fill_in.ApproveForm():
                done = services.decide(obj.pk, actor=actor, approve=True, **form.terms())
                return TOLD[Action.APPROVE] if done.state == State.APPROVED else ENDORSED
            case fill_in.RefuseForm():
                services.decide(obj.pk, actor=actor, approve=False, **form.terms())
                return TOLD[Action.REFUSE]
        return None

    def _do(self, action: str, pk: int, given: Given, actor: Account) -> bool:
        match action:
            case Action.CLAIM:
                services.claim(pk, actor=actor)
            case Action.RELEASE:
                services.release(pk, actor=actor)
            case Action.RETURN:
                services.return_for_correction(pk, actor=actor, **given)
            case Action.WRITE:
                services.write(pk, actor=actor, **given)
            case Action.ASSIGN:
                services.assign(pk, actor=actor, **given)
            case Action.ASK:
                services.ask(pk, actor=actor, **given)
            case Action.RECUSE:
                services.recuse(pk, actor=actor, **given)
            case "note":
                services.note(pk, actor=actor, body=given["note"])
            case "advise":
                services.advise(pk, actor=actor, **given)
            case "ask_again":
                self._ask_again(pk, given["witness"], actor)
            case "go_without":
                services.go_without(pk, actor=actor, **given)
            case _:
                return False
        return True

    def _ask_again(self, pk: int, witness: int, actor: Account) -> None:
        if not Application.objects.filter(pk=pk, witnesses=witness).exists():
            raise services.no_such_application()
        services.ask_again(witness, actor=actor)

    def page_context(
        self, request: HttpRequest, obj: Application, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        person = reviewer(request)
        selectors.read_case(obj)
        role = selectors.role_in(person, obj)
        may = self._may(person, obj, role)
        shown = selectors.answers_on_the_table(obj)
        is_own = role == Role.APPLICANT
        kept = evidence.kept(obj)
        checks = kept or evidence.snapshot(obj)
        return {
            "application": obj,
            "age": _waited(obj),
            "waits": selectors.age_of(obj),
            "is_own": is_own,
            "barred": selectors.why_barred(person, obj) if role == Role.BARRED else "",
            "may": dict.fromkeys(may, True),
            "forms": {
                action: bound.get(action) or self.form_for(action, obj, None)
                for action in may
                if action in FORMS
            },
            "typed": _typed_in_vain(bound, may),
            "answers": words.answered(obj, shown.answers, shown.before),
            "affiliation": words.affiliated(obj, shown.affiliation_before),
            "corrected": shown.before is not None,
            # Reviewers apply too; then they see no more of their case than other applicants do.
            "evidence": _grouped(evidence.readable(checks, role)),
            "seen": versions.version_of(obj, checks) if role in THE_DESK and not kept else "",
            "alike": evidence.alike(obj) if role in THE_DESK else [],
            "rule": selectors.rule_behind(obj),
            "may_see_rule": is_manager(person),
            "evidence_is_kept": bool(kept),
            "events": [] if is_own else words.latest(words.events(obj)),
            "thread": obj.messages.all(),
            "reviews": [] if is_own else obj.reviews.all(),
            "grants": [
                selectors.standing_of(grant)
                for grant in selectors.seen_by(person, selectors.grants_of(obj.applicant))
            ],
            "others": selectors.seen_by(person, selectors.applications_of(obj.applicant), "pk")
            .exclude(pk=obj.pk)
            .exclude(submitted_at=None),
            **(_inside(person, obj) if role in THE_DESK else {}),
        }

    def _may(self, person: Account, obj: Application, role: Role) -> set[str]:
        """The acts that the page offers; the services ask again."""
        may = {str(action) for action in actions_for(State(obj.state), role)} & {
            str(action) for action in TOLD
        }
        if role in THE_DESK:
            may.add("note")
        if selectors.opinion_asked_of(person, obj):
            may.add("advise")
        if role in THE_DESK and obj.state in AWAITED_IN:
            may.add("ask_again")
            if selectors.may_go_without(person, obj) and selectors.kinds_missing(obj):
                may.add("go_without")
        return may


def _inside(person: Account, application: Application) -> dict[str, Any]:
    """What those who review it see, and neither the applicant nor who is barred."""
    return {
        "notes": application.notes.all(),
        "opinions": application.opinions.all(),
        "recusals": application.recusals.all(),
        "vouching": selectors.vouching_of(application),
        "missing": selectors.kinds_missing(application),
        "approvals_needed": selectors.approvals_needed(application, application.releases.all()),
        "first_approval": selectors.last_endorsement(application),
        "asked_of_me": selectors.opinion_asked_of(person, application),
    }


def _grouped(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a reviewer should look at first, first; in each group the order of the checks."""
    groups = []
    for result, title in GROUPS.items():
        found = [
            {**check, "links": [_link(pk) for pk in check.get("applications", [])]}
            for check in checks
            if check["result"] == result
        ]
        if found:
            groups.append({"result": result, "title": title, "checks": found})
    return groups


def _link(pk: int) -> dict[str, str]:
    """To another application that a finding speaks of."""
    return {
        "url": reverse("admin:access_requests_application_change", args=[pk]),
        "reference": Application(pk=pk).reference,
    }


def _typed_in_vain(bound: dict[str, forms.Form], may: set[str]) -> str:
    """The text of an act that is not possible any more, so that it can be copied."""
    lost = [form for action, form in bound.items() if action not in may]
    data = lost[0].data if lost else {}
    texts = ("reason", "message", "body", "note", "answer", "question")
    return next((str(data[name]) for name in texts if data.get(name)), "")


def _waited(application: Application) -> str:
    """How long it took to the decision that stands."""
    time = selectors.waiting_time(application)
    return selectors.waited(time.days) if time is not None else ""
