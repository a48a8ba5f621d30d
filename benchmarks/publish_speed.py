"""Does `publish` keep up with `sha256sum` and the disk, and how much memory does a conversion take?

    python benchmarks/publish_speed.py [--gigabytes 2] [--rounds 5] [--folder /where/there/is/room]

Files of random bytes are published into a store on the same disk by the command itself, in a process of its own. In
turn with it `sha256sum` hashes the same files, in as many processes as there are cores, and `cp` copies them and
waits for the disk. The limit is the slower of the two. Then a model of zeros is published with --also original.
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
FILES = 4
BLOCK = 8 * 1024 * 1024
PUBLISH = """
import resource, sys, time
import django; django.setup()
from distribution.services import publish_folder
began = time.perf_counter()
publish_folder(__import__("pathlib").Path(sys.argv[1]), repo_id="bench/model", actor=None, also=sys.argv[2])
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from portal.catalog.models import Family, Licence, Release
licence = Licence.objects.create(slug="bench", name="Bench")
family = Family.objects.create(slug="bench", name="Bench", publisher="bench", licence=licence)
Release.objects.create(family=family, repo_id="bench/model", slug="bench", name="Bench", model_parallel=4)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wb-bench-", dir=given.folder) as name:
        measure(Path(name), int(given.gigabytes * 10**9), given.rounds)


def measure(work: Path, size: int, rounds: int) -> None:
    weights = random_release(work / "weights", size)
    took: dict[str, list[float]] = {"sha256sum": [], "cp": [], "publish": []}
    memory = 0
    for _ in range(rounds):
        took["sha256sum"].append(timed(lambda: in_parallel("sha256sum {}", weights)))
        took["cp"].append(timed(lambda: copied(weights, work / "copy")))
        seconds, peak = published(work / "site", weights)
        took["publish"].append(seconds)
        memory = max(memory, peak)
    cores = os.cpu_count()
    rate = {name: size / median(found) / 1e6 for name, found in took.items()}
    limit = min(rate["sha256sum"], rate["cp"])
    print(f"{size / 1e9:.1f} GB in {FILES} files, {cores} cores, {rounds} rounds in turn\n")
    print("| what | MB/s | beside the limit |")
    print("|---|---|---|")
    print(f"| `sha256sum`, {cores} processes | {rate['sha256sum']:,.0f} | |")
    print(f"| `cp` of the same files, and the disk has them | {rate['cp']:,.0f} | |")
    print(
        f"| `publish`: hashed, stored, and the disk has them | {rate['publish']:,.0f} "
        f"| {rate['publish'] / limit:.2f} × (0.8 asked for) |"
    )
    print(f"\nPeak memory of `publish`: {memory / 1000:,.0f} MB.")
    shutil.rmtree(weights)
    model = zeros(work / "zeros", size)
    seconds, peak = published(work / "site", model, also="original")
    print(
        f"`--also original` of {size / 1e9:.1f} GB, into 4 shards: {seconds:.0f} s, peak memory {peak / 1000:,.0f} MB."
    )


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def in_parallel(command: str, folder: Path) -> None:
    files = "\n".join(str(path) for path in sorted(folder.glob("*.safetensors")))
    subprocess.run(
        ["xargs", "-P", str(os.cpu_count()), "-I", "{}", *command.split()],
        input=files,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def copied(folder: Path, target: Path) -> None:
    target.mkdir()
    in_parallel(f"cp --reflink=never {{}} {target}", folder)
    subprocess.run(["sync", *map(str, target.iterdir())], check=True)
    shutil.rmtree(target)


def published(site: Path, folder: Path, also: str = "") -> tuple[float, int]:
    """Seconds, and the most kilobytes that were in memory."""
    env = os.environ | {"WEIGHBRIDGE_HOME": str(site), "DJANGO_SETTINGS_MODULE": "portal.settings"}
    env.pop("DATABASE_URL", None)

    def run(code: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=ROOT,
            env=env,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    site.mkdir()
    try:
        run(PREPARE)
        seconds, peak = run(PUBLISH, str(folder), also).split()
        return float(seconds), int(peak)
    finally:
        shutil.rmtree(site)


def random_release(folder: Path, size: int) -> Path:
    """Files of random bytes in the form of safetensors, of no architecture that is looked into."""
    each = size // FILES
    shards = {
        f"model-{n:05d}-of-{FILES:05d}.safetensors": {f"t{n}": [each]} for n in range(1, FILES + 1)
    }
    described(
        folder, {"architectures": ["Bench"]}, {t: f for f, table in shards.items() for t in table}
    )
    for name, table in shards.items():
        with (folder / name).open("wb") as file:
            file.write(header(table, "U8", 1))
            for start in range(0, each, BLOCK):
                file.write(os.urandom(min(BLOCK, each - start)))
    return folder


def zeros(folder: Path, size: int) -> Path:
    """A LLaMA of zeros that takes no room on the disk."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    os.environ.setdefault("WEIGHBRIDGE_HOME", str(folder.parent))
    django.setup()
    from distribution.checkpoints.shapes import safetensors_shapes

    layers = max(1, int((size - 0.53e9) / 0.405e9))  # of a model as wide as LLaMA 7B, in 16 bits
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_attention_heads": 32,
        "num_hidden_layers": layers,
        "vocab_size": 32000,
    }
    shapes = safetensors_shapes(config)
    assert shapes is not None
    described(folder, config, None)
    table = {name: list(shape) for name, shape in shapes.items()}
    begin = header(table, "BF16", 2)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(begin)
        file.truncate(len(begin) + 2 * sum(elements(shape) for shape in table.values()))
    return folder


def described(folder: Path, config: dict[str, object], weight_map: dict[str, str] | None) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    if weight_map:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def header(table: dict[str, list[int]], dtype: str, width: int) -> bytes:
    told, at = {}, 0
    for name, shape in table.items():
        end = at + elements(shape) * width
        told[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(told).encode()
    return struct.pack("<Q", len(text)) + text


def elements(shape: list[int]) -> int:
    count = 1
    for number in shape:
        count *= number
    return count


if __name__ == "__main__":
    main()
