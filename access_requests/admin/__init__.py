"""The review desk: applications, grants, forms, agreements."""

from access_requests.admin import acceptances, applications, forms, grants, licences, renewals

__all__ = ["acceptances", "applications", "forms", "grants", "licences", "renewals"]
