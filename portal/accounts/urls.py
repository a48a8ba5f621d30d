"""Addresses about oneself; allauth's stand beside them."""

from django.urls import path

from portal.accounts import views

app_name = "accounts"
urlpatterns = [
    path("", views.profile, name="profile"),
    path("data/", views.data, name="data"),
    path("erase/", views.erase, name="erase"),
    path("erase/take-back/", views.take_back, name="take_back"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", views.revoke_token, name="revoke_token"),
]
