"""The only writers of this floor."""

from distribution.services.linking import issue_link, issue_links
from distribution.services.materialising import materialise
from distribution.services.passing import link_at_once, require_grant
from distribution.services.publishing import Published, make_current, publish, publish_folder
from distribution.services.serving import Ask, Opened, finish, open_link
from distribution.services.withdrawing import restore, restore_revision, take_down, withdraw

__all__ = [
    "Ask",
    "Opened",
    "Published",
    "finish",
    "issue_link",
    "issue_links",
    "link_at_once",
    "make_current",
    "materialise",
    "open_link",
    "publish",
    "publish_folder",
    "require_grant",
    "restore",
    "restore_revision",
    "take_down",
    "withdraw",
]
