"""What the state of the site says about the store."""

import shutil
from collections.abc import Iterable

from distribution.stores import LocalStore, get_store
from portal.state import Line, part

FEW = 10 * 1024**3  # bytes; less than one shard of a large release


@part("Store of weights")
def store() -> Iterable[Line]:
    found = get_store()
    if not isinstance(found, LocalStore):
        found.size("state/probe")  # asks; that nothing is there is an answer
        yield Line("Answer", "the S3 store answers")
        return
    if not found.root.is_dir():
        yield Line(
            "Answer", "the directory is not there yet: the first publication makes it", "warn"
        )
        return
    free = shutil.disk_usage(found.root).free
    yield Line("Answer", "the directory can be read")
    yield Line("Room", f"{free / 1024**3:,.0f} GiB free", "ok" if free > FEW else "warn")
