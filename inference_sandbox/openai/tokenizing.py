"""A release's tokenizer for clients that have none of their own (lm_eval's `remote`).

Such a client does not say which model it means: it is the one in the address, in the body or the
query, or the only one that the token's person may prompt.
"""

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from distribution import selectors as distribution
from distribution.models import Revision
from inference_sandbox import asking, selectors
from inference_sandbox.openai.door import door
from inference_sandbox.openai.errors import invalid, of_refusal
from inference_sandbox.openai.reading import Body, wrong
from inference_sandbox.tokens import context_limit
from portal import throttling
from portal.accounts.models import Account
from portal.refusals import Refusal

CHARACTERS_OF_A_REQUEST = 4096


@door("GET", "HEAD")
async def info(request: HttpRequest, account: Account, model: str = "") -> HttpResponseBase:
    revision = await _revision(account, model or request.GET.get("model", ""))
    tokenizer = await sync_to_async(asking.tokenizer_of)(revision)
    config = tokenizer.config
    return JsonResponse(
        {
            "tokenizer_class": type(tokenizer).__name__,
            "bos_token": config.bos_token,
            "eos_token": config.eos_token,
            "pad_token": None,
            "chat_template": config.chat_template,
        }
    )


@door("POST")
async def tokenize(request: HttpRequest, account: Account, model: str = "") -> HttpResponseBase:
    body = Body.of(request)
    revision = await _revision(account, model or _named(body))
    text = body.text("prompt")
    await sync_to_async(_measure)(account, revision, text)
    found = await sync_to_async(_tokens)(revision, text)
    if body.flag("add_special_tokens", default=True):
        tokenizer = await sync_to_async(asking.tokenizer_of)(revision)
        found = tokenizer.encode("") + found  # of nothing: the token that begins a text
    return JsonResponse({"tokens": found, "count": len(found)})


@door("POST")
async def detokenize(request: HttpRequest, account: Account, model: str = "") -> HttpResponseBase:
    body = Body.of(request)
    revision = await _revision(account, model or _named(body))
    tokenizer = await sync_to_async(asking.tokenizer_of)(revision)
    tokens = body.get("tokens")
    most = asking.MOST_DETOKENIZED * context_limit(revision)
    if isinstance(tokens, list) and len(tokens) > most:
        raise invalid("tokens", f"Send at most {most:,} tokens in one request.")
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        raise wrong("tokens", "a list of token ids")
    if not all(0 <= token < tokenizer.vocab_size for token in tokens):
        raise invalid("tokens", f"A token is outside the {tokenizer.vocab_size:,} of this model.")
    return JsonResponse({"prompt": await sync_to_async(tokenizer.decode)(tokens)})


def _named(body: Body) -> str:
    return "" if body.get("model") is None else body.text("model")


@sync_to_async
def _revision(account: Account, name: str) -> Revision:
    if name:
        return _named_revision(account, name)
    releases = list(selectors.playable_releases(account)[:2])
    if len(releases) != 1:
        raise invalid(
            "model",
            "Say which model: `?model=…`, `model` in the body, or /models/<model>/… as the base.",
            "missing_required_parameter",
        )
    return distribution.current_revision(releases[0])


def _named_revision(account: Account, name: str) -> Revision:
    try:
        return distribution.current_revision(selectors.require_playable(account, name))
    except Refusal as refusal:
        raise of_refusal(refusal, name) from refusal


def _measure(account: Account, revision: Revision, text: str) -> None:
    """Refuse what no prompt can be. A long text counts as several requests: the tokenizer takes as long."""
    asking.check_length(len(text), "prompt", limit=context_limit(revision))
    cost = len(text) // CHARACTERS_OF_A_REQUEST
    throttling.check_account(throttling.Scope.TOKENIZING, account, cost)


def _tokens(revision: Revision, text: str) -> list[int]:
    """Control tokens count here, as in the tokenizers that clients have themselves."""
    return asking.tokens_of_text(revision, text, with_control_tokens=True) if text else []
