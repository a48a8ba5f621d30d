"""`script/manage load_listed FILE`: the listed countries, persons and organisations, from a CSV."""

from access_requests.management.loading import LoadCommand
from access_requests.models import EvidenceList


class Command(LoadCommand):
    help = (
        "Load the listed countries, persons and organisations: a CSV with the columns "
        "kind,name,aliases,source,note, or OpenSanctions' simple CSV; also in a .zip."
    )
    kind = EvidenceList.Kind.LISTED
