"""checklist.chk: the MD5 of the files of the original layout, as `md5sum -c` reads them."""

import hashlib
from functools import partial
from pathlib import Path

from distribution.converting.made import Made


def with_sums(files: list[Made]) -> list[Made]:
    """The files, and their checklist at the end."""
    sums: dict[str, str] = {}
    summed = [Made(file.path, file.size, partial(_write, file, sums)) for file in files]
    size = sum(len(file.path) + 35 for file in files)
    return [*summed, Made("checklist.chk", size, partial(_write_list, summed, sums))]


def _write(file: Made, sums: dict[str, str], target: Path) -> None:
    file.write(target)
    with target.open("rb") as content:
        md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False))
    sums[file.path] = md5.hexdigest()


def _write_list(files: list[Made], sums: dict[str, str], target: Path) -> None:
    for file in files:
        if file.path not in sums:  # written before an interruption; the bytes are the same again
            draft = target.with_name(f"{target.name}.{file.path}")
            try:
                file.write(draft)
            finally:
                draft.unlink(missing_ok=True)
    target.write_text("".join(f"{sums[file.path]}  {file.path}\n" for file in files))
