"""Handing over a file, or a part of it, from this process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from distribution.services import Opened, finish

CHUNK = 1024 * 1024  # bytes read and sent at once


class FileStream(StreamingHttpResponse):
    """The bytes that were asked for. However it ends, its Download row says how many were sent."""

    def __init__(self, path: Path, opened: Opened, **kwargs: Any) -> None:
        self._download, self._sent, self._finished = opened.download, 0, False
        super().__init__(self._bytes(path, opened.start, opened.length), **kwargs)

    async def _bytes(self, path: Path, start: int, left: int) -> AsyncIterator[bytes]:
        # Each read in a thread, so that no other request waits for the disk.
        file = await asyncio.to_thread(path.open, "rb")
        try:
            await asyncio.to_thread(file.seek, start)
            while left and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
                left -= len(chunk)
                yield chunk
                self._sent += len(chunk)
        finally:
            file.close()
        await sync_to_async(self._finish)()

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            finish(self._download, self._sent)

    def close(self) -> None:
        # When the client goes away Django drops `_bytes` where it stands, but closes the response
        # in any case, in the request's own thread, which may use the database.
        self._finish()
        super().close()
