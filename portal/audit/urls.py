"""The public page of the audit log: the key that checks its seals."""

from django.urls import path

from portal.audit import views

app_name = "audit"
urlpatterns = [path("", views.seals, name="seals")]
