"""Exit 0 when this container's web process answers from its database; else say why, and exit 1.

It asks under the site's own host name, because Django refuses any other.
"""

import os
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit


def ask(url: str, host: str) -> str:
    """The reason why the site is not well, or an empty string."""
    request = urllib.request.Request(url, headers={"Host": host})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=4) as answer:  # noqa: S310
            return "" if answer.status == 200 else f"{url} answered {answer.status}"
    except urllib.error.HTTPError as error:
        return f"{url} answered {error.code}"
    except OSError as error:
        return f"{url} does not answer: {error}"


if __name__ == "__main__":
    site = urlsplit(os.environ.get("WEIGHBRIDGE_BASE_URL", "http://127.0.0.1:8000")).netloc
    reason = ask(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/healthz", site)
    if reason:
        sys.exit(reason)
