"""Sending a file to S3, so that a killed process goes on where it was.

A part is a chunk of the manifest, so its SHA-256 is known and goes along: the endpoint compares what
arrives. Which parts arrived is asked of the endpoint itself, which needs no notes on this side.
"""

import base64
import hashlib
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distribution.errors import StoreError
from distribution.hashing import CHUNK_SIZE, Advance, Digest

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

AT_ONCE = 4  # parts of one file on their way at the same time
MOST_PARTS = 10_000  # of S3
KEPT_FOR = timedelta(days=14)  # that an interrupted upload may wait to go on


def encoded(sha256: str) -> str:
    """A SHA-256 as S3 writes it."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def composite(chunks: tuple[str, ...]) -> str:
    """The checksum that S3 gives to an object of these parts."""
    together = hashlib.sha256(bytes.fromhex("".join(chunks))).hexdigest()
    return f"{encoded(together)}-{len(chunks)}"


def upload(
    client: "S3Client",
    bucket: str,
    key: str,
    path: Path,
    digest: Digest,
    advance: Advance | None,
) -> None:
    """Put the file's bytes under the key. Raises boto3's errors, and StoreError."""
    if len(digest.chunks) <= 1:
        window: Any = Window(path, 0, digest.size)
        client.put_object(
            Bucket=bucket,
            Key=key,
            Body=window,
            ChecksumSHA256=encoded(digest.sha256),
            Metadata={"sha256": digest.sha256},
        )
        if advance:
            advance(digest.size)
        return
    if len(digest.chunks) > MOST_PARTS:
        raise StoreError(f"{path.name} is larger than S3 takes in {MOST_PARTS:,} parts.")
    _Upload(client, bucket, key, path, digest, advance).run()


class _Upload:
    """One file on its way, in parts."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        key: str,
        path: Path,
        digest: Digest,
        advance: Advance | None,
    ) -> None:
        self._client = client
        self._place: Any = {"Bucket": bucket, "Key": key}
        self._path, self._digest, self._advance = path, digest, advance
        self._stopped = threading.Event()

    def run(self) -> None:
        upload_id = self._begun() or self._begin()
        there = {part["PartNumber"]: part for part in self._listed(upload_id)}
        numbers = range(1, len(self._digest.chunks) + 1)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                parts = list(pool.map(lambda n: self._part(upload_id, n, there.get(n)), numbers))
            except BaseException:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
        self._client.complete_multipart_upload(
            **self._place, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )

    def _begun(self) -> str | None:
        """The upload that an interrupted process began, the newest if there are several."""
        found = [
            upload
            for upload in _uploads(self._client, self._place["Bucket"], self._place["Key"])
            if upload["Key"] == self._place["Key"]
        ]
        newest = max(found, key=lambda upload: upload["Initiated"], default={"UploadId": None})
        upload_id: str | None = newest["UploadId"]
        return upload_id

    def _begin(self) -> str:
        return self._client.create_multipart_upload(
            **self._place, ChecksumAlgorithm="SHA256", Metadata={"sha256": self._digest.sha256}
        )["UploadId"]

    def _listed(self, upload_id: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_parts").paginate(**self._place, UploadId=upload_id)
        for page in pages:
            yield from page.get("Parts", [])  # type: ignore[misc]

    def _part(self, upload_id: str, number: int, there: dict[str, Any] | None) -> Any:
        """What completing needs to know of a part. Where one fails, the others do not begin."""
        if self._stopped.is_set():
            raise StoreError("The upload was stopped.")
        try:
            return self._sent(upload_id, number, there)
        except BaseException:
            self._stopped.set()
            raise

    def _sent(self, upload_id: str, number: int, there: dict[str, Any] | None) -> Any:
        """Send a part, unless it is there already."""
        start = (number - 1) * CHUNK_SIZE
        window: Any = Window(self._path, start, min(CHUNK_SIZE, self._digest.size - start))
        checksum = encoded(self._digest.chunks[number - 1])
        if there is not None and _same(there, window, checksum):
            etag = there["ETag"]
        else:
            etag = self._client.upload_part(
                **self._place,
                UploadId=upload_id,
                PartNumber=number,
                Body=window,
                ChecksumSHA256=checksum,
            )["ETag"]
        if self._advance:
            self._advance(window.size)
        return {"PartNumber": number, "ETag": etag, "ChecksumSHA256": checksum}


def _same(there: dict[str, Any], window: "Window", checksum: str) -> bool:
    """Whether the part that is there is this one; an endpoint that keeps no checksum has its MD5."""
    if there["Size"] != window.size:
        return False
    if kept := there.get("ChecksumSHA256"):
        return bool(kept == checksum)
    window.seek(0)
    md5 = hashlib.file_digest(window, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    window.seek(0)
    return bool(there["ETag"].strip('"') == md5)


def sweep_old(client: "S3Client", bucket: str, prefix: str) -> None:
    """End uploads below the prefix that nobody went on with: the store bills them."""
    for upload in _uploads(client, bucket, prefix):
        if upload["Initiated"] < datetime.now(UTC) - KEPT_FOR:
            client.abort_multipart_upload(
                Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )


def _uploads(client: "S3Client", bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        yield from page.get("Uploads", [])  # type: ignore[misc]


class Window(io.RawIOBase):
    """A part of a file, as a file; several may be read at once, and none is in memory."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self.size = size
        self._file = path.open("rb", buffering=0)
        self._start, self._position = start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self.size - self._position))
        self._file.seek(self._start + self._position)
        count = self._file.readinto(memoryview(buffer)[:wanted])
        self._position += count
        return int(count)

    def __len__(self) -> int:
        return self.size

    def close(self) -> None:
        self._file.close()
        super().close()
