"""Whether the files that name each other are all there: indexes, and files that are numbered."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from distribution.checkpoints.common import read_json, some
from distribution.checkpoints.headers import read_header
from distribution.errors import PublishError

INDEX = ".index.json"
NUMBERED = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\.\w+)")
WITH_HEADERS = (".safetensors", ".bin", ".pth", ".pt")  # whose tensors can be listed


def check_indexes(folder: Path, files: Iterable[str]) -> None:
    """Raise PublishError for an index that names what is not there, or a row of files with a gap."""
    files = set(files)
    for file in sorted(files):
        if file.lower().endswith(INDEX):
            _check_index(folder / file)
    _check_rows(files)


def _check_index(path: Path) -> None:
    """That each file it names lies beside it, and has the tensors that it promises."""
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict):
        return  # an index of something else
    promised: dict[str, set[str]] = defaultdict(set)
    for tensor, file in weight_map.items():
        promised[str(file)].add(tensor)
    if absent := sorted(file for file in promised if not (path.parent / file).is_file()):
        raise PublishError(
            f"{path.name} and the folder disagree about {some(absent)}. Add what is missing, or "
            f"remove what is left over."
        )
    for file, tensors in sorted(promised.items()):
        if not file.endswith(WITH_HEADERS):
            continue
        if lacking := sorted(tensors - read_header(path.parent / file).keys()):
            raise PublishError(
                f"{file} and its index disagree about {some(lacking)}. Publish the index that was "
                f"saved with these files."
            )


def _check_rows(files: set[str]) -> None:
    """`x-00001-of-00003.gguf` needs the other two beside it. Some count from 0."""
    for file in sorted(files):
        if match := NUMBERED.fullmatch(file):
            stem, count, suffix = match[1], int(match[3]), match[4]
            row = [f"{stem}-{number:05}-of-{match[3]}{suffix}" for number in range(count + 1)]
            row = row[:-1] if row[0] in files else row[1:]
            if absent := [name for name in row if name not in files]:
                raise PublishError(
                    f"{file} is one of {count} files, and these of them are missing: {some(absent)}. "
                    f"Copy them into the folder, then publish again."
                )
