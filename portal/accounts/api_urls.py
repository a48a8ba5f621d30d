"""Addresses of the account over REST."""

from django.urls import path

from portal.accounts import api

urlpatterns = [path("account/", api.MyAccount.as_view(), name="api-account")]
