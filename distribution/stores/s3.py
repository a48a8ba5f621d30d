"""Any S3 endpoint as the store, through boto3. The only file that knows boto3."""

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
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.exceptions import ImproperlyConfigured

from distribution.errors import StoreError
from distribution.hashing import Advance, Digest, hash_file
from distribution.stores import multipart
from distribution.stores.base import key_of
from distribution.stores.copying import CHUNK, write_checked

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

CONNECTIONS = 32  # several files at once, each in parts; beside what the web asks


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

    @property
    def binds_range(self) -> bool:
        return self.cloudfront is None  # whose signatures know no ranges

    def check_room(self, needed: int) -> None:
        """S3 does not say how much room it has; what was never finished is given back here."""
        with self._errors("unfinished uploads cannot be listed"):
            multipart.sweep_old(self._client, self.bucket, self._key(""))

    def pending(self, mark: str) -> int:
        return 0  # what is there of an upload is known only once its key is

    def forget(self, mark: str) -> None:
        """An upload that stopped takes no room here, and is ended by `check_room` in time."""

    def bring(
        self,
        path: Path,
        *,
        mark: str,
        known: Digest | None = None,
        advance: Advance | None = None,
        hashed: Advance | None = None,
    ) -> Digest:
        # First hashed, then sent: the key is the hash, and S3 cannot rename what is large.
        found = known or hash_file(path, hashed)
        key = key_of(found.sha256)
        self.put(key, path, sha256=found.sha256, chunks=found.chunks, advance=advance)
        return found

    def put(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        chunks: tuple[str, ...] = (),
        advance: Advance | None = None,
    ) -> None:
        digest = self._digest(path, sha256, chunks)
        if self._holds(key, digest):
            if advance:
                advance(digest.size)
            return
        with self._errors(f"{path.name} was not stored"):
            try:
                multipart.upload(self._client, self.bucket, self._key(key), path, digest, advance)
            except ClientError as error:
                # Whoever stored the same bytes at the same time may have been quicker.
                if error.response["Error"]["Code"] != "NoSuchUpload":
                    raise
        if not self._holds(key, digest):
            with self._errors(f"{path.name} was not removed again"):
                self._client.delete_object(Bucket=self.bucket, Key=self._key(key))
            raise StoreError(
                f"The store does not give back {path.name} as it was sent; it was removed there. "
                f"Try again."
            )

    def _digest(self, path: Path, sha256: str, chunks: tuple[str, ...]) -> Digest:
        size = path.stat().st_size
        if chunks or not size:
            return Digest(size, sha256, chunks)
        found = hash_file(path)
        if found.sha256 != sha256:
            raise StoreError(
                f"{path.name}: the bytes have SHA-256 {found.sha256}, expected {sha256}; nothing "
                f"was kept. Publish again."
            )
        return found

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

    def _holds(self, key: str, digest: Digest) -> bool:
        """Whether these very bytes are there: by the store's own checksum, or by reading them
        back where it has none, or one of other parts.
        """
        head = self._head(key)
        if head is None or head["ContentLength"] != digest.size:
            return False
        kept = head.get("ChecksumSHA256", "")
        if kept and "-" not in kept:
            return bool(kept == multipart.encoded(digest.sha256))
        if kept and kept == multipart.composite(digest.chunks):
            return True
        with self.open(key) as body:
            return hashlib.file_digest(body, "sha256").hexdigest() == digest.sha256  # type: ignore[arg-type]

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
            max_pool_connections=CONNECTIONS,
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 4, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


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
