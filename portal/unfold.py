"""The admin's look (django-unfold). Links are names, resolved lazily, so that no floor is imported."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def _link(title: str, icon: str, name: str, who: str) -> dict[str, Any]:
    """A line of the side bar, shown to those who may open it."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(name),
        "permission": f"portal.accounts.roles.request_{who}",
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Weighbridge",
    "SITE_HEADER": "Weighbridge",
    "SITE_SUBHEADER": "Review and release",
    "SITE_ICON": lambda request: static("img/mark.svg"),
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("img/mark.svg"),
        },
    ],
    "STYLES": [lambda request: static("css/admin.css")],
    "SITE_URL": "/",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": True,
    "COLORS": {
        # The paper and ink of the site's own pages, so that both sides are one house.
        "base": {
            "50": "#f7f6f2",
            "100": "#f2f0ea",
            "200": "#e0ded7",
            "300": "#cbc9c1",
            "400": "#9aa39f",
            "500": "#626c68",
            "600": "#4c5653",
            "700": "#3a4441",
            "800": "#2b3330",
            "900": "#1b211f",
            "950": "#141817",
        },
        "primary": {
            "50": "#eef7f6",
            "100": "#d5ebe8",
            "200": "#aed7d2",
            "300": "#7dbcb5",
            "400": "#4d9c95",
            "500": "#2f807a",
            "600": "#1f6763",
            "700": "#1b5350",
            "800": "#194341",
            "900": "#173937",
            "950": "#082120",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "Review",
                "items": [
                    _link(
                        "Applications",
                        "inbox",
                        "admin:access_requests_application_changelist",
                        "reviewer",
                    ),
                    _link("Grants", "key", "admin:access_requests_grant_changelist", "reviewer"),
                    _link(
                        "Co-applicants",
                        "groups",
                        "admin:access_requests_coapplicant_changelist",
                        "reviewer",
                    ),
                    _link(
                        "Renewals",
                        "autorenew",
                        "admin:access_requests_renewal_changelist",
                        "reviewer",
                    ),
                    _link(
                        "Second looks",
                        "visibility",
                        "admin:access_requests_secondlook_changelist",
                        "reviewer",
                    ),
                    _link("Fairness", "balance", "admin:access_requests_fairness", "manager"),
                ],
            },
            {
                "title": "How decisions are made",
                "items": [
                    _link(
                        "Decision policies",
                        "rule",
                        "admin:access_requests_decisionpolicy_changelist",
                        "manager",
                    ),
                    _link(
                        "Reasons",
                        "short_text",
                        "admin:access_requests_reasontemplate_changelist",
                        "manager",
                    ),
                    _link(
                        "Targets",
                        "timer",
                        "admin:access_requests_reviewtarget_changelist",
                        "manager",
                    ),
                    _link(
                        "Automatic rules",
                        "bolt",
                        "admin:access_requests_automaticrule_changelist",
                        "manager",
                    ),
                    _link(
                        "Evidence lists",
                        "fact_check",
                        "admin:access_requests_evidencelist_changelist",
                        "manager",
                    ),
                    _link(
                        "Block list", "block", "admin:access_requests_block_changelist", "manager"
                    ),
                ],
            },
            {
                "title": "Release",
                "items": [
                    _link(
                        "Releases", "deployed_code", "admin:catalog_release_changelist", "manager"
                    ),
                    _link(
                        "Revisions", "layers", "admin:distribution_revision_changelist", "manager"
                    ),
                    _link("Families", "category", "admin:catalog_family_changelist", "manager"),
                    _link("Licences", "gavel", "admin:catalog_licence_changelist", "manager"),
                    _link("Forms", "list_alt", "admin:access_requests_form_changelist", "manager"),
                    _link(
                        "Downloads", "download", "admin:distribution_download_changelist", "manager"
                    ),
                    _link(
                        "Download alarms",
                        "notification_important",
                        "admin:distribution_alarm_changelist",
                        "manager",
                    ),
                    _link(
                        "Networks and countries",
                        "public",
                        "admin:distribution_networklist_changelist",
                        "manager",
                    ),
                    _link(
                        "Sandbox runs",
                        "terminal",
                        "admin:inference_sandbox_run_changelist",
                        "manager",
                    ),
                    _link(
                        "Reported outputs",
                        "flag",
                        "admin:inference_sandbox_report_changelist",
                        "manager",
                    ),
                ],
            },
            {
                "title": "People and record",
                "items": [
                    _link("People", "group", "admin:accounts_account_changelist", "reviewer"),
                    _link(
                        "Second factors", "lock", "admin:mfa_authenticator_changelist", "superuser"
                    ),
                    _link(
                        "E-mail addresses",
                        "alternate_email",
                        "admin:account_emailaddress_changelist",
                        "superuser",
                    ),
                    _link("Audit log", "history", "admin:audit_event_changelist", "auditor"),
                    _link(
                        "Who could open what",
                        "schedule",
                        "admin:access_requests_past",
                        "auditor",
                    ),
                    _link("Seals", "verified", "admin:audit_seal_changelist", "auditor"),
                    _link("State of the site", "monitor_heart", "state", "operator"),
                    _link("Outgoing mail", "mail", "admin:mail_outgoingmail_changelist", "manager"),
                    _link(
                        "Webhooks", "webhook", "admin:webhooks_subscription_changelist", "manager"
                    ),
                ],
            },
        ],
    },
}
