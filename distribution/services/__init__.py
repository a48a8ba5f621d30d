"""The only writers of this floor."""

from distribution.services.linking import (
    check_own_grant,
    issue_link,
    issue_links,
    record_denial,
)
from distribution.services.materialising import materialise
from distribution.services.publishing import Published, publish, publish_folder, withdraw
from distribution.services.serving import Ask, Opened, finish, open_link

__all__ = [
    "Ask",
    "Opened",
    "Published",
    "check_own_grant",
    "finish",
    "issue_link",
    "issue_links",
    "materialise",
    "open_link",
    "publish",
    "publish_folder",
    "record_denial",
    "withdraw",
]
