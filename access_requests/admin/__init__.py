"""The review desk: applications, grants, forms, agreements."""

from access_requests.admin import acceptances, applications, forms, grants, renewals

__all__ = ["acceptances", "applications", "forms", "grants", "renewals"]
