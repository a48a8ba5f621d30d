"""Any S3 endpoint as the store, through boto3. The only file that knows boto3."""

import base64
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlencode

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.exceptions import ImproperlyConfigured

from distribution.errors import StoreError
from distribution.stores.base import Advance
from distribution.stores.copying import CHUNK, write_checked

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

PART = 16 * 1024 * 1024  # bytes of one part of an upload; about ten of them are in memory at once
MOST_PARTS = 9_000  # S3 allows 10,000


class S3Store:
    """Keys live below `prefix` in one bucket.

    endpoint: where we talk to the store ("" means AWS). public_endpoint: where clients reach it.
    cloudfront: the distribution that they reach in its stead.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        endpoint: str,
        public_endpoint: str,
        region: str,
        access_key: str,
        secret_key: str,
        cloudfront: "CloudFront | None" = None,
    ) -> None:
        self.cloudfront = cloudfront
        self.bucket, self.prefix = bucket, prefix.strip("/")
        self._keys = (region, access_key, secret_key)
        self._client = client(endpoint, *self._keys)
        # A presigned URL is signed for the host name that the client will use.
        self._public = client(public_endpoint or endpoint, *self._keys)

    def check_room(self, needed: int) -> None:
        """S3 does not say how much room it has."""

    def put(self, key: str, path: Path, *, sha256: str, advance: Advance | None = None) -> None:
        size = path.stat().st_size
        if self._holds(key, size, sha256):
            if advance:
                advance(size)
            return
        with self._errors(f"{path.name} was not stored"), path.open("rb") as file:
            self._client.upload_fileobj(
                _Checked(file, path.name, sha256, advance),  # type: ignore[arg-type]  # needs no more than read
                self.bucket,
                self._key(key),
                # Every part carries its SHA-256, which the store checks as it arrives.
                ExtraArgs={"ChecksumAlgorithm": "SHA256", "Metadata": {"sha256": sha256}},
                Config=TransferConfig(
                    multipart_threshold=PART, multipart_chunksize=max(PART, size // MOST_PARTS + 1)
                ),
            )
        if not self._holds(key, size, sha256):
            with self._errors(f"{path.name} was not removed again"):
                self._client.delete_object(Bucket=self.bucket, Key=self._key(key))
            raise StoreError(
                f"The store does not give back {path.name} as it was sent; it was removed there. "
                f"Try again."
            )

    def open(self, key: str) -> BinaryIO:
        with self._errors(f"{key} cannot be read"):
            body = self._client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"]
        return io.BufferedReader(_Body(body), CHUNK)

    def size(self, key: str) -> int | None:
        head = self._head(key)
        return None if head is None else int(head["ContentLength"])

    def fetch(self, key: str, target: Path, *, sha256: str) -> None:
        with self.open(key) as source:
            write_checked(source, target, sha256=sha256, size=self.size(key))

    def presigned_url(
        self, key: str, *, filename: str, seconds: int, asked: str = ""
    ) -> str | None:
        if self.cloudfront:
            return self.cloudfront.url(self._key(key), filename=filename, seconds=seconds)
        params = {
            "Bucket": self.bucket,
            "Key": self._key(key),
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
            "ResponseContentType": "application/octet-stream",
            "ResponseCacheControl": "private, no-store",
        }
        if asked:  # becomes a part of the signature: with another range, or none, the store refuses
            params["Range"] = asked
        with self._errors(f"{key} cannot be signed"):
            return self._public.generate_presigned_url(
                "get_object", Params=params, ExpiresIn=seconds
            )

    def local_path(self, key: str) -> Path | None:
        return None

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _head(self, key: str) -> dict[str, Any] | None:
        with self._errors(f"{key} cannot be looked at"):
            try:
                return dict(
                    self._client.head_object(
                        Bucket=self.bucket, Key=self._key(key), ChecksumMode="ENABLED"
                    )
                )
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise

    def _holds(self, key: str, size: int, sha256: str) -> bool:
        """Whether these very bytes are there: by the store's own checksum, or by reading them
        back without one.
        """
        head = self._head(key)
        if head is None or head["ContentLength"] != size:
            return False
        kept = head.get("ChecksumSHA256", "")
        if "-" in kept:
            # The checksum of the parts' checksums: the store compared every part with what
            # `_Checked` read.
            return bool(head["Metadata"].get("sha256") == sha256)
        if kept:
            return bool(kept == base64.b64encode(bytes.fromhex(sha256)).decode())
        with self.open(key) as body:
            return hashlib.file_digest(body, "sha256").hexdigest() == sha256  # type: ignore[arg-type]

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """No exception of boto3 leaves this file."""
        try:
            yield
        except (BotoCoreError, ClientError, Boto3Error) as error:
            raise StoreError(
                f"The store `s3://{self.bucket}` refused or did not answer: {what} ({error})."
            ) from error


@dataclass(frozen=True)
class CloudFront:
    """A distribution in front of the bucket. It takes addresses signed with our RSA key, and knows no ranges in them.

    origin: its address. key_id: how it knows our public key. key: the private one, PEM.
    """

    origin: str
    key_id: str
    key: str

    def url(self, key: str, *, filename: str, seconds: int) -> str:
        shown = urlencode({"response-content-disposition": f'attachment; filename="{filename}"'})
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        signer = CloudFrontSigner(self.key_id, self._sign)
        address = f"{self.origin}/{quote(key)}?{shown}"
        return str(signer.generate_presigned_url(address, date_less_than=until))

    def _sign(self, message: bytes) -> bytes:
        # SHA-1 is what CloudFront demands of a canned policy; the message is ours and short-lived.
        return _rsa_key(self.key).sign(message, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303


@lru_cache(maxsize=2)
def _rsa_key(pem: str) -> rsa.RSAPrivateKey:
    """Raises ImproperlyConfigured."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"WEIGHBRIDGE_CLOUDFRONT_KEY is no private key in PEM: {error}."
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ImproperlyConfigured("WEIGHBRIDGE_CLOUDFRONT_KEY is no RSA key.")
    return key


@lru_cache(maxsize=8)
def client(endpoint: str, region: str, access_key: str, secret_key: str) -> "S3Client":
    """One client for each place, made once: it takes 100 ms, and is safe in threads."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=region,
        aws_access_key_id=access_key or None,  # None: boto3 looks for a role of the machine
        aws_secret_access_key=secret_key or None,
        config=Config(
            signature_version="s3v4",  # never the older form that botocore may choose
            s3={"addressing_style": "path"},
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 4, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


class _Checked:
    """A file that is read once, in order; its last byte is only given out if the SHA-256 is right.

    It has no `seek`, so the transfer sends the very bytes that were hashed; an error in `read`
    ends the transfer, and S3 keeps nothing of it.
    """

    def __init__(self, file: BinaryIO, name: str, sha256: str, advance: Advance | None) -> None:
        self._file, self._name, self._expected, self._advance = file, name, sha256, advance
        self._sha = hashlib.sha256()
        self._ahead = file.read(CHUNK)

    def read(self, amount: int = -1) -> bytes:
        out = bytearray()
        while self._ahead and (amount < 0 or len(out) < amount):
            take = len(self._ahead) if amount < 0 else min(amount - len(out), len(self._ahead))
            out += self._ahead[:take]
            self._ahead = self._ahead[take:] or self._next()
        self._sha.update(out)
        if not self._ahead and self._sha.hexdigest() != self._expected:
            raise StoreError(
                f"{self._name}: the bytes have SHA-256 {self._sha.hexdigest()}, expected "
                f"{self._expected}. "
                "The file changed while it was read; nothing was kept. Publish again."
            )
        if self._advance:
            self._advance(len(out))
        return bytes(out)

    def _next(self) -> bytes:
        return self._file.read(CHUNK)


class _Body(io.RawIOBase):
    """A streaming answer as a plain file, whose errors are ours."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._body.read(len(buffer))
        except Exception as error:  # urllib3's and botocore's alike
            raise StoreError(f"The store broke off in the middle ({error}).") from error
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._body.close()
        super().close()
