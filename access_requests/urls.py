"""Addresses of the applicant's pages."""

from django.urls import path

from access_requests import draft_views, keeping_views, people_views, views, witness_views

app_name = "access_requests"
urlpatterns = [
    path("", views.mine, name="mine"),
    path("new/<slug:family_slug>/", draft_views.apply, name="apply"),
    path("<int:pk>/", views.application, name="application"),
    path("<int:pk>/edit/", draft_views.edit, name="edit"),
    path("<int:pk>/licence/", views.licence, name="licence"),
    path("<int:pk>/withdraw/", views.withdraw, name="withdraw"),
    path("<int:pk>/write/", views.write, name="write"),
    path("<int:pk>/appeal/", views.appeal, name="appeal"),
    path("attachments/<uuid:public_id>/", views.attachment, name="attachment"),
    path("grants/<int:pk>/licence/", keeping_views.accept, name="accept"),
    path("grants/<int:pk>/renew/", keeping_views.renew, name="renew"),
    path("grants/<int:pk>/close/", keeping_views.close_out, name="close_out"),
    path("<int:pk>/people/", people_views.people, name="people"),
    path("people/<int:pk>/again/", people_views.invite_again, name="invite_again"),
    path("people/<int:pk>/remove/", people_views.remove, name="remove"),
    path("join/<str:token>/", people_views.join, name="join"),
    path("<int:pk>/witnesses/", witness_views.witnesses, name="witnesses"),
    path("witnesses/<int:pk>/again/", witness_views.ask_again, name="ask_again"),
    path("vouch/<str:token>/", witness_views.vouch, name="vouch"),
    path("agreements/<int:pk>/", keeping_views.agreement, name="agreement"),
]
