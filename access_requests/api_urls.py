"""Addresses of the REST face."""

from django.urls import path

from access_requests import api, form_api, grant_api, past_api, review_api, witness_api

urlpatterns = [
    path("releases/<slug:slug>/form/", form_api.ApplicationForm.as_view(), name="api-release-form"),
    path("applications/", api.ApplicationList.as_view(), name="api-applications"),
    path("applications/<int:pk>/", api.ApplicationDetail.as_view(), name="api-application"),
    path("applications/<int:pk>/submit/", api.Submit.as_view(), name="api-application-submit"),
    path(
        "applications/<int:pk>/withdraw/", api.Withdraw.as_view(), name="api-application-withdraw"
    ),
    path(
        "applications/<int:pk>/attachments/<str:question>/",
        api.AttachmentOf.as_view(),
        name="api-application-attachment",
    ),
    path("applications/<int:pk>/claim/", api.Claim.as_view(), name="api-application-claim"),
    path("applications/<int:pk>/release/", api.Release.as_view(), name="api-application-release"),
    path("applications/<int:pk>/return/", api.Return.as_view(), name="api-application-return"),
    path("applications/<int:pk>/approve/", api.Approve.as_view(), name="api-application-approve"),
    path("applications/<int:pk>/refuse/", api.Refuse.as_view(), name="api-application-refuse"),
    path("applications/<int:pk>/messages/", api.Write.as_view(), name="api-application-write"),
    path("applications/<int:pk>/notes/", review_api.AddNote.as_view(), name="api-application-note"),
    path(
        "applications/<int:pk>/colleagues/",
        review_api.Colleagues.as_view(),
        name="api-application-colleagues",
    ),
    path(
        "applications/<int:pk>/assign/", review_api.Assign.as_view(), name="api-application-assign"
    ),
    path("applications/<int:pk>/ask/", review_api.Ask.as_view(), name="api-application-ask"),
    path(
        "applications/<int:pk>/advise/", review_api.Advise.as_view(), name="api-application-advise"
    ),
    path(
        "applications/<int:pk>/recuse/", review_api.Recuse.as_view(), name="api-application-recuse"
    ),
    path("applications/<int:pk>/appeal/", api.Appeal.as_view(), name="api-application-appeal"),
    path("access-then/", past_api.AccessThenList.as_view(), name="api-access-then"),
    path(
        "access-then/export.<slug:kind>",
        past_api.AccessThenExport.as_view(),
        name="api-access-then-export",
    ),
    path("access-then/<int:pk>/", past_api.AccessThenDetail.as_view(), name="api-access-then-one"),
    path(
        "applications/<int:pk>/witnesses/",
        witness_api.NameWitness.as_view(),
        name="api-application-witnesses",
    ),
    path(
        "applications/<int:pk>/go_without/",
        witness_api.GoWithout.as_view(),
        name="api-application-go-without",
    ),
    path("witnesses/<int:pk>/again/", witness_api.AskAgain.as_view(), name="api-witness-again"),
    path("grants/", grant_api.GrantList.as_view(), name="api-grants"),
    path("grants/<int:pk>/revoke/", grant_api.Revoke.as_view(), name="api-grant-revoke"),
    path("grants/<int:pk>/suspend/", grant_api.Suspend.as_view(), name="api-grant-suspend"),
    path("grants/<int:pk>/reinstate/", grant_api.Reinstate.as_view(), name="api-grant-reinstate"),
    path(
        "grants/<int:pk>/accept_licence/",
        grant_api.AcceptLicence.as_view(),
        name="api-grant-accept",
    ),
]
