"""Where the bytes lie: a directory or S3, chosen by `WEIGHBRIDGE_STORE`."""

from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from distribution.stores.base import Store
from distribution.stores.local import LocalStore


def get_store() -> Store:
    """The store that the settings name. Raises ImproperlyConfigured."""
    scheme, _, rest = settings.STORE_URL.partition(":")
    if scheme == "local" and Path(rest).is_absolute():
        return LocalStore(Path(rest))
    place = urlsplit(settings.STORE_URL)
    if scheme == "s3" and place.netloc:
        # Here, so that a site with a directory never pays for importing boto3.
        from distribution.stores.s3 import CloudFront, S3Store

        cloudfront = (settings.CLOUDFRONT_URL, settings.CLOUDFRONT_KEY_ID, settings.CLOUDFRONT_KEY)

        return S3Store(
            place.netloc,
            place.path,
            endpoint=settings.S3_ENDPOINT,
            public_endpoint=settings.S3_PUBLIC_ENDPOINT,
            region=settings.S3_REGION,
            access_key=settings.S3_ACCESS_KEY,
            secret_key=settings.S3_SECRET_KEY,
            cloudfront=CloudFront(*cloudfront) if all(cloudfront) else None,
        )
    raise ImproperlyConfigured(
        f"WEIGHBRIDGE_STORE is {settings.STORE_URL!r}; expected local:/an/absolute/path or s3://bucket/prefix."
    )


__all__ = ["LocalStore", "Store", "get_store"]
