"""Who waits for tokens holds no connection of the database: the pool has eight, and readers come by the hundred."""

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from inference_sandbox import sse, stream
from inference_sandbox.models import Run
from inference_sandbox.stream import Entry, Kind, Writer
from portal.accounts.models import Account
from tests.inference_sandbox.conftest import Prompt


async def to_frames(entry: Entry) -> bytes:
    return entry.kind.value.encode()


def is_held() -> bool:
    return connection.connection is not None


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
async def test_a_stream_gives_its_connection_back_before_it_waits(
    prompt: Prompt, alice: Account
) -> None:
    run = await sync_to_async(prompt)()
    writer = await sync_to_async(Writer.take)(run.pk)
    assert writer
    await sync_to_async(writer.append)(Kind.START)
    row = await Run.objects.aget(pk=run.pk)
    assert await sync_to_async(is_held)()
    reader = sse.Reader(alice, to_frames, lambda refusal: b"")
    frames = sse.follow(row, stream.BEGINNING, reader)
    assert await anext(frames) == b"start"
    assert not await sync_to_async(is_held)()
    await frames.aclose()  # type: ignore[attr-defined]
