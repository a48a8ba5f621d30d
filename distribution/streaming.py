"""Handing over a file, or a part of it, from this process."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse

from distribution.services import Opened, finish
from distribution.watching import watched
from portal.database import alet_go
from portal.sendfile import EXTENSION, SendFile
from portal.straight import in_a_turn, without_signals

CHUNK = 256 * 1024  # bytes read and sent at once; a few of them are in memory for each transfer


class FileStream(StreamingHttpResponse):
    """The bytes that were asked for. However it ends, its Download row says how many were sent.

    Where the server can send a file by itself (portal/sendfile.py), it does.
    """

    def __init__(self, request: HttpRequest, path: Path, opened: Opened, **kwargs: Any) -> None:
        self._download, self._sent, self._finished = opened.download, 0, False
        scope = getattr(request, "scope", {})
        self._send: SendFile | None = scope.get("extensions", {}).get(EXTENSION)
        super().__init__(self._bytes(path, opened.start, opened.length), **kwargs)

    async def _bytes(self, path: Path, start: int, left: int) -> AsyncIterator[bytes]:
        # Whatever may wait for the disk does so in a thread, so that no other request waits too.
        file = await asyncio.to_thread(os.open, path, os.O_RDONLY)
        if not without_signals.get():
            await alet_go()  # which a browser's request would keep until the last byte is out
        try:
            with watched(self._download):
                if self._send:
                    await self._send(file, start, left, self._advance)
                    left = 0
                while left and (
                    chunk := await asyncio.to_thread(os.pread, file, min(CHUNK, left), start)
                ):
                    start, left = start + len(chunk), left - len(chunk)
                    yield chunk
                    self._advance(len(chunk))
        except OSError:
            # Of the disk, or of a socket that was closed under us: then nobody closes the response.
            await in_a_turn(self._finish)
            raise
        finally:
            os.close(file)
        await in_a_turn(self._finish)

    def _advance(self, sent: int) -> None:
        self._sent += sent

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            finish(self._download, self._sent)

    def close(self) -> None:
        # When the client goes away Django drops `_bytes` where it stands, but closes the response
        # in any case, in the request's own thread, which may use the database.
        self._finish()
        super().close()
