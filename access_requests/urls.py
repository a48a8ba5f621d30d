"""Addresses of the applicant's pages."""

from django.urls import path

from access_requests import views

app_name = "access_requests"
urlpatterns = [
    path("", views.mine, name="mine"),
    path("new/<slug:family_slug>/", views.apply, name="apply"),
    path("<int:pk>/", views.application, name="application"),
    path("<int:pk>/edit/", views.edit, name="edit"),
    path("<int:pk>/licence/", views.licence, name="licence"),
    path("<int:pk>/withdraw/", views.withdraw, name="withdraw"),
    path("<int:pk>/write/", views.write, name="write"),
    path("<int:pk>/appeal/", views.appeal, name="appeal"),
    path("grants/<int:pk>/licence/", views.accept, name="accept"),
]
