"""S3 stores on two real servers: radosgw with TLS and a private CA, and Swift's s3api; a bucket for each test."""

import json
import os
import re
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import msgspec

from glimpse.settings.model import Secret
from glimpse.stores.connections import Limits
from glimpse.stores.s3.options import S3Options
from glimpse.stores.s3.signing import Signer, canonical_query
from glimpse.stores.s3.store import S3Store
from tests.contract.stores.rigs.base import Faults, Rig
from tests.support.daemons import Daemon

NEEDS = "GLIMPSE_TEST_S3_URL"

#: Seconds that the tests wait for a server that hangs.
SILENCE = 8.0
LIMITS = Limits(connect=SILENCE, silence=SILENCE, answer=SILENCE)
#: For servers that answer, late on a busy machine.
PATIENT = Limits(connect=30.0, silence=30.0, answer=30.0)


def options(url: str, access_key: str, secret_key: str, bucket: str, **more: Any) -> S3Options:
    return S3Options(
        s3_store_host=url,
        s3_store_access_key=Secret(access_key),
        s3_store_secret_key=Secret(secret_key),
        s3_store_bucket=bucket,
        **more,
    )


def radosgw_options(bucket: str, **more: Any) -> S3Options:
    return options(os.environ[NEEDS], "rigaccess", "rigsecretkey", bucket, **more)


def swift_options(bucket: str, **more: Any) -> S3Options:
    return options(os.environ["GLIMPSE_TEST_S3API_URL"], "test:tester", "testing", bucket, **more)


def new_bucket() -> str:
    return f"glimpse-{uuid4().hex[:12]}"


class Outside:
    """A look at a bucket that does not use the driver: through the Swift API, which both servers have as well, and for
    unfinished uploads, which only S3 can list, by a presigned URL.
    """

    def __init__(self, chosen: S3Options) -> None:
        url, swift_user = chosen.s3_store_host or "", chosen.s3_store_access_key or ""
        self.bucket = chosen.s3_store_bucket or ""
        self._tls = ssl.create_default_context(cafile=chosen.s3_store_cacert) if chosen.s3_store_cacert else None
        self._url = url
        # the gateway has a user of its own for the Swift API
        self._user = swift_user if ":" in swift_user else "glance:swift"
        self._signer = Signer(Secret(swift_user), chosen.s3_store_secret_key or Secret(), "us-east-1")

    def swift(self, method: str, path: str, headers: dict[str, str] | None = None) -> bytes:
        login = Request(f"{self._url}/auth/v1.0", headers={"X-Auth-User": self._user, "X-Auth-Key": "testing"})
        with urlopen(login, timeout=30, context=self._tls) as answer:
            storage, token = urlsplit(answer.headers["X-Storage-Url"]).path, answer.headers["X-Auth-Token"]
        fields = {"X-Auth-Token": token, **(headers or {})}
        request = Request(f"{self._url}{storage}/{path}", method=method, headers=fields)
        with urlopen(request, timeout=30, context=self._tls) as answer:
            return answer.read()

    def create(self) -> None:
        self.swift("PUT", self.bucket)

    def keys(self) -> list[str]:
        """Everything that is in the bucket: objects, and uploads that are not finished."""
        objects = [found["name"] for found in json.loads(self.swift("GET", f"{self.bucket}?format=json"))]
        return objects + [f"an upload of {key}" for key, _ in self._uploads()]

    def remove(self) -> None:
        for key, upload_id in self._uploads():
            self._s3("DELETE", f"/{self.bucket}/{key}", {"uploadId": upload_id})
        for found in json.loads(self.swift("GET", f"{self.bucket}?format=json")):
            self.swift("DELETE", f"{self.bucket}/{found['name']}")
        self.swift("DELETE", self.bucket)

    def _uploads(self) -> list[tuple[str, str]]:
        text = self._s3("GET", f"/{self.bucket}/", {"uploads": ""}).decode()
        return re.findall(r"<Upload>.*?<Key>([^<]*)</Key>.*?<UploadId>([^<]*)</UploadId>", text, re.DOTALL) or [
            (key, upload_id)
            for upload_id, key in re.findall(r"<Upload>.*?<UploadId>([^<]*)</UploadId>.*?<Key>([^<]*)</Key>", text)
        ]

    def _s3(self, method: str, path: str, query: dict[str, str]) -> bytes:
        text = canonical_query(query)
        headers = self._signer.headers(method, path, text, {"host": urlsplit(self._url).netloc}, datetime.now(UTC))
        request = Request(f"{self._url}{path}?{text}", method=method, headers=headers)
        with urlopen(request, timeout=30, context=self._tls) as answer:
            return answer.read()


def _rig(chosen: S3Options, faults: Callable[[S3Options], Faults], *, slow: bool = False) -> Rig:
    outside = Outside(chosen)
    bucket = outside.bucket
    outside.create()
    store = S3Store("objects", chosen, LIMITS)

    host = store.url_prefixes[0].removesuffix(f"/{bucket}/")
    foreign = (
        f"{host}/other-{bucket}/image",
        f"{host}/{bucket}/",
        f"{host}/{bucket}/.glimpse/image/try1",
        f"{host}/{bucket}/sub/image",
        f"{host}/{bucket}",
        f"{host}/image",
        f"s3://elsewhere.example.org/{bucket}/image",
        f"s3://key:secret@elsewhere.example.org/{bucket}/image",
        f"s3://{bucket}/image",
        f"s3:///{bucket}/image",
        "s3://image",
    )
    return Rig(
        store,
        outside.keys,
        store.url_prefixes[0],
        foreign,
        faults=faults(chosen),
        remove=outside.remove,
        buffers=True,
        slow=slow,
    )


def s3_radosgw(_directory: Path) -> Rig:
    return _rig(radosgw_options(new_bucket()), _radosgw_faults)


def s3_radosgw_tls(_directory: Path) -> Rig:
    """HTTPS with a private CA, checksums, and names of buckets in the path."""
    chosen = options(
        os.environ["GLIMPSE_TEST_S3_TLS_URL"],
        "rigaccess",
        "rigsecretkey",
        new_bucket(),
        s3_store_cacert=os.environ["GLIMPSE_TEST_S3_CA"],
        s3_store_bucket_url_format="path",
        s3_store_enable_data_integrity_protection=True,
        s3_store_request_checksum_calculation="when_supported",
        s3_store_response_checksum_validation="when_supported",
    )
    return _rig(chosen, _radosgw_faults, slow=True)


def s3_swift(_directory: Path) -> Rig:
    # a request takes several times as long as on radosgw
    return _rig(swift_options(new_bucket()), _swift_faults, slow=True)


RIGS = (s3_radosgw, s3_radosgw_tls, s3_swift)


# ------------------------------------------------------------------------------------------- Harm for the real servers


def _faults(chosen: S3Options, pid_file: Path, start: str, full: Callable[[Outside], None], port_url: str) -> Faults:
    server = Daemon(pid_file)

    @contextmanager
    def down() -> Iterator[None]:
        os.kill(server.pid, signal.SIGKILL)
        try:
            yield
        finally:
            _start(start)
            _answers(port_url)

    @contextmanager
    def filled() -> Iterator[S3Store]:
        small = msgspec.structs.replace(chosen, s3_store_bucket=new_bucket())
        outside = Outside(small)
        outside.create()
        full(outside)
        yield S3Store("small", small, LIMITS)
        outside.remove()

    def wrong() -> S3Store:
        return S3Store("objects", msgspec.structs.replace(chosen, s3_store_secret_key=Secret("wrong")), LIMITS)

    return Faults(
        new_store=lambda: S3Store("objects", chosen, LIMITS),
        hanging=server.stopped,
        deadline=SILENCE,
        down=down,
        full=filled,
        wrong_credentials=wrong,
        expire=None,
    )


def _radosgw_faults(chosen: S3Options) -> Faults:
    pid_file = Path(os.environ["GLIMPSE_TEST_S3_RUN"], "rgw.pid")
    return _faults(chosen, pid_file, "s3-up", _limit_bucket, os.environ[NEEDS])


def _swift_faults(chosen: S3Options) -> Faults:
    pid_file = Path(os.environ["GLIMPSE_TEST_SWIFT_RUN"], "proxy.pid")
    return _faults(chosen, pid_file, "swift-up", _limit_container, chosen.s3_store_host or "")


def _start(script: str) -> None:
    subprocess.run([Path(os.environ["GLIMPSE_TEST_RIGS"], script)], check=True, stdout=subprocess.DEVNULL, timeout=120)


def _answers(url: str) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            with urlopen(Request(url, method="HEAD"), timeout=2):
                return
        except HTTPError as error:
            error.close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def radosgw_admin(*arguments: str) -> str:
    """Run a command of radosgw's administrator and return its output."""
    conf, keyring = os.environ["GLIMPSE_TEST_CEPH_CONF"], os.environ["GLIMPSE_TEST_CEPH_ADMIN_KEYRING"]
    command = ["radosgw-admin", "-c", conf, "-n", "client.admin", "-k", keyring, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _limit_bucket(outside: Outside) -> None:
    radosgw_admin("quota", "set", "--quota-scope=bucket", f"--bucket={outside.bucket}", "--max-size=32M")
    radosgw_admin("quota", "enable", "--quota-scope=bucket", f"--bucket={outside.bucket}")


def _limit_container(outside: Outside) -> None:
    # smaller than one part, because the server counts what is there only after a while
    outside.swift("PUT", f"{outside.bucket}+segments", {"X-Container-Meta-Quota-Bytes": str(5 << 20)})
