"""Handing over a file, or a part of it, from this process."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from distribution.selectors import is_up
from distribution.services import Opened, finish

CHUNK = 1024 * 1024  # bytes read and sent at once
ASKED_AGAIN = 2.0  # seconds between two looks at whether the files were taken down meanwhile


class FileStream(StreamingHttpResponse):
    """The bytes that were asked for. However it ends, its Download row says how many were sent."""

    def __init__(self, path: Path, opened: Opened, **kwargs: Any) -> None:
        self._download, self._sent, self._finished = opened.download, 0, False
        self._revision_id = opened.artifact.revision_id
        super().__init__(self._bytes(path, opened.start, opened.length), **kwargs)

    async def _bytes(self, path: Path, start: int, left: int) -> AsyncIterator[bytes]:
        # Each read in a thread, so that no other request waits for the disk.
        file = await asyncio.to_thread(path.open, "rb")
        try:
            await asyncio.to_thread(file.seek, start)
            asked = time.monotonic()
            while left and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
                left -= len(chunk)
                yield chunk
                self._sent += len(chunk)
                if time.monotonic() > asked + ASKED_AGAIN:
                    if not await sync_to_async(is_up)(self._revision_id):
                        break  # the length was promised, so the client sees that it was cut
                    asked = time.monotonic()
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
