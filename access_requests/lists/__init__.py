"""Reading the files that managers load: plain functions that yield rows, one at a time."""

from access_requests.lists.files import Unreadable, opened
from access_requests.lists.listed import Listed, read_listed
from access_requests.lists.ror import Organisation, read_institutions

__all__ = ["Listed", "Organisation", "Unreadable", "opened", "read_institutions", "read_listed"]
