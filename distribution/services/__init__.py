"""The only writers of this floor."""

from distribution.services.linking import Terms, issue_link, issue_links
from distribution.services.materialising import materialise
from distribution.services.publishing import Published, publish, publish_folder, withdraw
from distribution.services.quotas import hold_places
from distribution.services.serving import Ask, Opened, finish, open_link, refused_among

__all__ = [
    "Ask",
    "Opened",
    "Published",
    "Terms",
    "finish",
    "hold_places",
    "issue_link",
    "issue_links",
    "materialise",
    "open_link",
    "publish",
    "publish_folder",
    "refused_among",
    "withdraw",
]
