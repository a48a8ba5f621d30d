"""The only writers of this floor."""

from distribution.services.linking import (
    Terms,
    check_own_grant,
    issue_link,
    issue_links,
    record_denial,
)
from distribution.services.materialising import in_use, materialise, prune
from distribution.services.passing import link_at_once, require_grant
from distribution.services.publishing import (
    Published,
    make_current,
    publish,
    publish_folder,
)
from distribution.services.quotas import hold_places
from distribution.services.serving import Ask, Opened, finish, open_link, refused_among
from distribution.services.withdrawing import restore, restore_revision, take_down, withdraw

__all__ = [
    "Ask",
    "Opened",
    "Published",
    "Terms",
    "check_own_grant",
    "finish",
    "hold_places",
    "in_use",
    "issue_link",
    "issue_links",
    "link_at_once",
    "make_current",
    "materialise",
    "open_link",
    "prune",
    "publish",
    "publish_folder",
    "record_denial",
    "refused_among",
    "require_grant",
    "restore",
    "restore_revision",
    "take_down",
    "withdraw",
]
