"""A real S3 server, SeaweedFS, that can be killed and started again on its data."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tests.live import free_port

BUCKET = "weighbridge-test"


@dataclass(frozen=True)
class S3:
    endpoint: str
    access_key: str
    secret_key: str

    def wait(self, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """Until it answers and has the bucket. process: the server's, where it is ours."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )
        deadline = time.monotonic() + 60
        while not _has_bucket(client):
            assert process is None or process.poll() is None, "the S3 server ended at its start"
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.2)


def _has_bucket(client: Any) -> bool:
    try:
        client.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        return "BucketAlready" in str(error)
    except BotoCoreError:  # not up yet
        return False
    return True


class Weed:
    """The server, with its data and configuration in `base`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.s3 = S3(f"http://127.0.0.1:{free_port()}", "testaccess", "testsecret0123456789")
        keys = [{"accessKey": self.s3.access_key, "secretKey": self.s3.secret_key}]
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        one = {"name": "test", "credentials": keys, "actions": actions}
        (base / "s3.json").write_text(json.dumps({"identities": [one]}))
        (base / "data").mkdir()
        ports = {name: free_port() for name in ("master", "volume", "filer", "admin")}
        self._command = [
            str(Path(sys.executable).with_name("weed")),
            f"-logdir={base}",
            "mini",
            f"-dir={base / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.config={base / 's3.json'}",
            f"-s3.port={urlsplit(self.s3.endpoint).port}",
            f"-s3.port.grpc={free_port()}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-admin.ui=false",
            "-webdav=false",
            "-master.telemetry=false",
            *(f"-{name}.port={port}" for name, port in ports.items()),
            *(f"-{name}.port.grpc={free_port()}" for name in ports),
            f"-filer.localSocket={base / 'filer.sock'}",
        ]

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"GOMEMLIMIT": "150MiB", "GOGC": "50"},
        )
