"""A reader that is told to go, goes: whatever it was waiting for just then."""

import asyncio
import random
import uuid
from contextlib import aclosing

from inference_sandbox import stream
from inference_sandbox.stream import Kind, Writer


async def test_a_reader_that_is_cancelled_at_any_moment_ends() -> None:
    """Python 3.11's `wait_for` forgets a cancel that comes together with what it waits for."""
    run_id, moments = uuid.uuid4(), random.Random(7)
    writer = await asyncio.to_thread(Writer.take, run_id)
    assert writer
    await asyncio.to_thread(writer.append, Kind.TOKEN, t=1, x="a")

    async def read() -> None:
        while True:  # each time from the beginning: as if tokens came without an end
            places = {run_id: stream.BEGINNING}
            async with aclosing(stream.read_many(places, wait=True, sign=True)) as entries:
                await anext(entries)

    deaf = 0
    for _ in range(400):
        task = asyncio.create_task(read())
        for _ in range(moments.randrange(1, 60)):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=0.5)
        deaf += not done
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=0.1)
    assert deaf == 0
