"""From what is wanted to runs: one for each prompt and choice, of one job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from distribution.models import Revision
from inference_sandbox import asking, selectors, services, tokens
from inference_sandbox.asking import Asked
from inference_sandbox.models import Job, Run
from inference_sandbox.openai.wanted import Prompt, Wanted
from portal.accounts.models import Account

if TYPE_CHECKING:
    from inference_sandbox.engine.tokenizer import Tokenizer


@dataclass(frozen=True)
class Begun:
    """A request on its way. `runs` are in the order of the choices."""

    wanted: Wanted
    account: Account
    revision: Revision
    tokenizer: "Tokenizer"
    job: Job
    runs: Sequence[Run]
    texts: Sequence[str]  # of the prompts, to be echoed

    @property
    def prompt_tokens(self) -> int:
        """Each prompt counts once, however many choices it has."""
        return sum(run.prompt_tokens or 0 for run in self.runs[:: self.wanted.n])


def begin(account: Account, wanted: Wanted) -> Begun:
    """Queue the runs: all, or none with the Refusal of the first at fault."""
    release = selectors.release_named(wanted.model)
    _, revision = services.let_in(account, release)
    revision.release = release  # read already
    tokenizer = asking.tokenizer_of(revision)
    prompts = [_conversation(revision, wanted)] if wanted.is_chat else _texts(revision, wanted)
    asked = [
        (release, _choice(wanted, prompt, number))
        for prompt in prompts
        for number in range(wanted.n)
    ]
    job = services.create_job(actor=account, kind=Job.Kind.COMPLETION, asked=asked)
    runs = list(job.runs.order_by("position"))
    texts = [
        prompt if isinstance(prompt, str) else tokenizer.decode(prompt) for prompt in wanted.prompts
    ]
    return Begun(wanted, account, revision, tokenizer, job, runs, texts)


def _texts(revision: Revision, wanted: Wanted) -> list[Asked]:
    return [_text(wanted, _ids(revision, wanted, prompt)) for prompt in wanted.prompts]


def _ids(revision: Revision, wanted: Wanted, prompt: Prompt) -> list[int]:
    """Token ids are taken as they are."""
    if not isinstance(prompt, str):
        return prompt
    return asking.tokens_of_text(revision, prompt, bos=wanted.add_special_tokens)


def _text(wanted: Wanted, ids: list[int]) -> Asked:
    prompt = Asked(mode=Run.Mode.PLAIN, prompt_ids=ids, max_tokens=wanted.max_tokens or 0)
    if wanted.echo and (wanted.logprobs is not None or not wanted.max_tokens):
        prompt["prompt_logprobs"] = max(wanted.logprobs or 0, wanted.prompt_logprobs or 0)
    return prompt


def _conversation(revision: Revision, wanted: Wanted) -> Asked:
    chat = Asked(mode=Run.Mode.CHAT, messages=wanted.messages)
    if wanted.add_special_tokens or wanted.continues:
        ids = asking.tokens_of_chat(
            revision,
            wanted.messages,
            bos=wanted.add_special_tokens,
            continue_final_message=wanted.continues,
        )
        chat = Asked(mode=Run.Mode.CHAT, prompt_ids=ids)
    if wanted.max_tokens is not None:
        return Asked(**chat, max_tokens=wanted.max_tokens)
    count = asking.check(revision, Asked(**chat, max_tokens=1))["prompt_tokens"]
    room = tokens.context_limit(revision) - count
    return Asked(**chat, max_tokens=min(settings.SANDBOX_MAX_TOKENS, room))


def _choice(wanted: Wanted, prompt: Asked, number: int) -> Asked:
    """A client that goes away has no more use for the answer: `keep` is false."""
    return {
        **wanted.sampling,
        "prompt_logprobs": wanted.prompt_logprobs,
        **prompt,
        "seed": wanted.seed_of(number),
        "logprobs": wanted.logprobs,
        "keep": False,
    }
