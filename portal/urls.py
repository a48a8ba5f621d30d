"""Every address of the site. The upper floors are named by strings alone."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from portal import views

# One door for signing in, with its limit on guesses, its verified address and its second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("healthz", views.health, name="health"),
    path("", include("portal.catalog.urls")),
    path("account/", include("portal.accounts.urls")),
    path("account/", include("allauth.urls")),
    path("audit/", include("portal.audit.urls")),
    path("applications/", include("access_requests.urls")),
    path("", include("access_requests.hub_urls")),
    path("", include("distribution.urls")),
    path("sandbox/", include("inference_sandbox.urls")),
    # Whoever opens the admin has come to review: the queue is its first page.
    path("admin/", views.desk),
    path("admin/state/", views.state, name="state"),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/", include("portal.accounts.api_urls")),
    path("api/v1/", include("portal.catalog.api_urls")),
    path("api/v1/", include("portal.audit.api_urls")),
    path("api/v1/", include("access_requests.api_urls")),
    path("api/v1/", include("distribution.api_urls")),
    path("api/v1/", include("inference_sandbox.api_urls")),
    path("", include("inference_sandbox.openai.urls")),
]
if settings.DEMO:
    urlpatterns.append(path("demo/", include("demo.urls")))
# Last, because a repo's name can begin with anything.
urlpatterns.append(path("", include("distribution.hub.urls")))

handler400 = "portal.views.bad_request"
handler403 = "portal.views.forbidden"
handler404 = "portal.views.not_found"
handler500 = "portal.views.server_error"
