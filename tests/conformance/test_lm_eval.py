"""EleutherAI's `lm_eval`, unmodified, with its model `local-completions` and tasks of our own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from inference_sandbox.engine.tokenizer import load_tokenizer
from tests.conformance.openai_server import Served
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store
from tests.inference_sandbox.engine.releases import logits

pytestmark = pytest.mark.django_db

TASKS = Path(__file__).with_name("lm_eval_tasks")
# Made by script/test beside the project's own environment, which is spared the forty packages.
PYTHON = Path(sys.prefix) / "lm_eval" / "bin" / "python"


def evaluate(served: Served, here: Path, task: str, base: str, *more: str) -> list[dict[str, Any]]:
    """What the harness logged of each item, as its command line wrote it."""
    if not PYTHON.exists():
        pytest.skip("lm_eval is not installed: script/test installs it")
    model = f"model={served.model},base_url={base},auth_token={served.key},max_retries=1"
    command = [str(PYTHON), "-m", "lm_eval", "run", "--model", "local-completions"]
    command += ["--model_args", ",".join([model, "max_length=512", *more]), "--tasks", task]
    command += ["--include_path", str(TASKS), "--log_samples", "--output_path", str(here / "out")]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")},
        "OPENAI_API_KEY": served.key,
        "HF_HOME": str(here / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
    }
    done = subprocess.run(
        [*command, "--batch_size", "4"], cwd=TASKS, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (samples,) = (here / "out").rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in samples.read_text().splitlines()]


def expected(served: Served, context: str, continuation: str) -> tuple[float, bool]:
    """Log-likelihood and greediness of a continuation, by the weights themselves."""
    tokenizer = load_tokenizer(served.weights)
    before, after = (tokenizer.encode(text, bos=False) for text in (context, continuation))
    thoughts = logits(served.weights, torch.tensor([before + after]))[0].log_softmax(-1)
    places = range(len(before) - 1, len(before) + len(after) - 1)
    told = [thoughts[place, token] for place, token in zip(places, after, strict=True)]
    greedy = [thoughts[place].argmax().item() for place in places] == after
    return float(sum(told)), greedy


def test_multiple_choice_is_scored_as_by_the_weights_themselves(
    served: Served, tmp_path: Path
) -> None:
    """With the tokenizer from here too: the model is named in the address."""
    base = f"{served.url}/models/{served.model}/v1/completions"
    samples = evaluate(served, tmp_path, "riddles", base, "num_concurrent=2")
    assert len(samples) == 5
    compared = 0
    for sample in samples:
        for place, ((told, greedy),) in enumerate(sample["resps"]):
            asked = sample["arguments"][f"gen_args_{place}"]
            likelihood, is_greedy = expected(served, asked["arg_0"], asked["arg_1"])
            assert abs(float(told) - likelihood) < 1e-3
            assert (str(greedy) == "True") == is_greedy
            compared += 1
    assert compared == 14


def test_generations_are_those_of_any_client(served: Served, tmp_path: Path) -> None:
    """The harness sends tokens, with no token before them that begins a text."""
    samples = evaluate(served, tmp_path, "endings", f"{served.url}/v1/completions")
    answer = served.client().completions.create(
        model=served.model,
        prompt=[sample["arguments"]["gen_args_0"]["arg_0"] for sample in samples],
        max_tokens=8,
        temperature=0,
        stop=["\n", "zz"],
        extra_body={"add_special_tokens": False},
    )
    assert [sample["resps"][0][0] for sample in samples] == [c.text for c in answer.choices]
