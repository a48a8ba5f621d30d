"""`script/manage load_institutions FILE`: the list of research institutions, from a dump of ROR."""

from access_requests.management.loading import LoadCommand
from access_requests.models import EvidenceList


class Command(LoadCommand):
    help = "Load the list of research institutions: a dump of ROR, as .zip or .json."
    kind = EvidenceList.Kind.INSTITUTIONS
