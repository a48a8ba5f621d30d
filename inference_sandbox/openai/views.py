"""`/v1/`: models, completions, chats and responses for OpenAI's clients. Asynchronous: waiting holds no thread."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse

from distribution.models import Revision
from inference_sandbox import selectors, stream, tokens
from inference_sandbox.openai.begun import Begun, begin
from inference_sandbox.openai.door import door
from inference_sandbox.openai.errors import (
    of_any,
    of_refusal,
    response_not_stored,
    unknown_model,
    unknown_url,
)
from inference_sandbox.openai.following import Following
from inference_sandbox.openai.reading import Body
from inference_sandbox.openai.response_object import RESPONSE_ID, ResponseObject
from inference_sandbox.openai.response_params import response
from inference_sandbox.openai.shapes import Chat, Completion, Shape
from inference_sandbox.openai.wanted import Wanted, chat, completion
from portal.accounts.models import Account
from portal.refusals import Refusal

log = logging.getLogger(__name__)
PING = b": ping\n\n"


@door("GET", "HEAD")
async def models(request: HttpRequest, account: Account, model: str = "") -> HttpResponseBase:
    """What the token's person may prompt; below a model's own base, that model alone."""
    if model:
        cards = [await sync_to_async(_card_named)(account, model)]
    else:
        cards = await sync_to_async(_cards)(account)
    return JsonResponse({"object": "list", "data": cards})


@door("GET", "HEAD")
async def model(
    request: HttpRequest, account: Account, name: str, model: str = ""
) -> HttpResponseBase:
    if model and name != model:
        raise unknown_model(name)
    return JsonResponse(await sync_to_async(_card_named)(account, name))


@door("POST")
async def completions(request: HttpRequest, account: Account, model: str = "") -> HttpResponseBase:
    return await _answered(account, completion(Body.of(request), model))


@door("POST")
async def chat_completions(
    request: HttpRequest, account: Account, model: str = ""
) -> HttpResponseBase:
    return await _answered(account, chat(Body.of(request), model))


@door("POST")
async def responses(request: HttpRequest, account: Account, model: str = "") -> HttpResponseBase:
    return await _answered(account, response(Body.of(request), model))


@door()
async def stored_response(
    request: HttpRequest, account: Account, response_id: str, model: str = ""
) -> HttpResponseBase:
    if not response_id.startswith(RESPONSE_ID):
        raise unknown_url(request.path)
    raise response_not_stored(response_id)


@door()
async def unknown(request: HttpRequest, account: Account, rest: str) -> HttpResponseBase:
    raise unknown_url(request.path)


async def _answered(account: Account, wanted: Wanted) -> HttpResponseBase:
    try:
        await stream.check()
        begun = await _begin(account, wanted)
    except Refusal as refusal:
        raise of_refusal(refusal, wanted.model, wanted.names) from refusal
    if not wanted.is_stream:
        return JsonResponse(await _whole(begun))
    return StreamingHttpResponse(
        _frames(begun),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _begin(account: Account, wanted: Wanted) -> Begun:
    """A client that goes away while its runs are made leaves none of them behind."""
    making = asyncio.ensure_future(sync_to_async(begin)(account, wanted))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        begun = await making
        await sync_to_async(Following(begun).leave)()
        raise


async def _whole(begun: Begun) -> dict[str, Any]:
    async with Following(begun) as following, aclosing(following.pieces()) as pieces:
        found = [piece async for piece in pieces if piece]
    return shape_of(begun).answer(found, following.completion_tokens)


async def _frames(begun: Begun) -> AsyncIterator[bytes]:
    """Once the first byte is out, an error can only be told as an event."""
    shape = shape_of(begun)
    async with Following(begun) as following, aclosing(following.pieces()) as pieces:
        try:
            for event in shape.start():
                yield _frame(event)
            async for piece in pieces:
                if piece is None:
                    yield PING
                for event in shape.events(piece) if piece else ():
                    yield _frame(event)
            for event in shape.end(following.completion_tokens):
                yield _frame(event)
            yield shape.after_end
        except Exception as error:
            for event in shape.failure(of_any(error, begun.wanted.model)):
                yield _frame(event)


def _frame(data: dict[str, Any]) -> bytes:
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def shape_of(begun: Begun) -> Shape:
    if begun.wanted.is_response:
        return ResponseObject(begun)
    return Chat(begun) if begun.wanted.is_chat else Completion(begun)


def _cards(account: Account) -> list[dict[str, Any]]:
    releases = selectors.playable_releases(account)
    revisions = Revision.objects.filter(release__in=releases, is_current=True)
    return [
        _card(revision)
        for revision in revisions.select_related("release__family").order_by("release__repo_id")
    ]


def _card_named(account: Account, name: str) -> dict[str, Any]:
    release = selectors.require_playable(account, name)
    return _card(Revision.objects.get(release=release, is_current=True))


def _card(revision: Revision) -> dict[str, Any]:
    release = revision.release
    return {
        "id": release.repo_id,
        "object": "model",
        "created": int(revision.created_at.timestamp()),
        "owned_by": release.family.publisher,
        "max_model_len": tokens.context_limit(revision),  # as vLLM says it
    }
