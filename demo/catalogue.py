"""The reference catalogue: LLaMA as its paper's tables give it, and a small real model that anybody may run."""

from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from portal.catalog.models import Family, Licence, LicenceVersion, Release

TEXTS = Path(__file__).parent / "texts"
DEMO_REPO = "demo/smollm2-135m"

# name: parameters, dimension, heads, layers, training tokens, model-parallel shards.
# Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models", table 2; shards as they were distributed.
LLAMA = {
    "7B": (6_738_415_616, 4096, 32, 32, 1_000_000_000_000, 1),
    "13B": (13_015_864_320, 5120, 40, 40, 1_000_000_000_000, 2),
    "33B": (32_528_943_616, 6656, 52, 60, 1_400_000_000_000, 4),
    "65B": (65_285_660_672, 8192, 64, 80, 1_400_000_000_000, 8),
}


def make() -> None:
    """Make what is missing; leave alone what a person may have changed."""
    licence = _licence()
    llama, _ = Family.objects.get_or_create(
        slug="llama",
        defaults={
            "name": "LLaMA",
            "publisher": "Meta AI",
            "licence": licence,
            "position": 2,
            "summary": "Foundation language models of 7 to 65 billion parameters, released to researchers case by case.",
        },
    )
    for position, (size, facts) in enumerate(LLAMA.items()):
        _release(
            llama,
            f"LLaMA {size}",
            f"meta/llama-{size.lower()}",
            facts,
            position=position,
            card="llama-card.md",
            summary=f"The {size} model of the LLaMA family. A base model, for research.",
        )
    demo, _ = Family.objects.get_or_create(
        slug="demo",
        defaults={
            "name": "Demo",
            "publisher": "Weighbridge demo",
            "licence": licence,
            "position": 1,
            "summary": "A small real model, to walk the whole way with: apply, be reviewed, download, prompt.",
        },
    )
    _release(
        demo,
        "SmolLM2 135M",
        DEMO_REPO,
        (134_515_008, 576, 9, 30, 2_000_000_000_000, 3),
        position=0,
        card="smollm2-card.md",
        context=8192,
        summary="A small instruction-following model with the LLaMA architecture, in three shards.",
    )


def _licence() -> Licence:
    licence, _ = Licence.objects.get_or_create(
        slug="noncommercial-research",
        defaults={
            "name": "Noncommercial research licence",
            "summary": "Research yes, products no; do not pass the weights on; publish what you find.",
        },
    )
    if not licence.versions.exists():
        text = (TEXTS / "noncommercial-licence.md").read_text()
        # In force before the first invented application.
        then = timezone.now() - timedelta(days=60)
        LicenceVersion.objects.create(licence=licence, number=1, text=text, published_at=then)
    return licence


def _release(
    family: Family,
    name: str,
    repo_id: str,
    facts: tuple[int, int, int, int, int, int],
    *,
    position: int,
    card: str,
    summary: str,
    context: int = 2048,
) -> None:
    parameters, dimension, heads, layers, tokens, shards = facts
    Release.objects.get_or_create(
        repo_id=repo_id,
        defaults={
            "family": family,
            "slug": repo_id.split("/")[1],
            "name": name,
            "summary": summary,
            "model_card": (TEXTS / card).read_text(),
            "parameters": parameters,
            "dimension": dimension,
            "heads": heads,
            "layers": layers,
            "training_tokens": tokens,
            "model_parallel": shards,
            "context_length": context,
            "position": position,
        },
    )
