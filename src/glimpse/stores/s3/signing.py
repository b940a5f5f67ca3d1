"""AWS Signature Version 4, with the data of a request left unsigned.

The data are not hashed for the signature (``UNSIGNED-PAYLOAD``): that would cost more processor time than everything
else. TLS protects them, and the service compares its own digest of the image.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

from glimpse.settings.model import Secret

UNSIGNED = "UNSIGNED-PAYLOAD"

_ALGORITHM = "AWS4-HMAC-SHA256"
#: The longest validity of a presigned URL that S3 allows, in seconds.
LONGEST_VALIDITY = 7 * 24 * 3600


def canonical_query(query: Mapping[str, str]) -> str:
    """Return a query string in the form and order that the signature needs; requests are sent with it."""
    return "&".join(
        f"{name}={value}"
        for name, value in sorted((quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in query.items())
    )


class Signer:
    """Signs the requests of one access key for one region."""

    def __init__(self, access_key: Secret, secret_key: Secret, region: str) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        #: day → signing key
        self._key: tuple[str, bytes] = ("", b"")

    def headers(self, method: str, path: str, query: str, headers: Mapping[str, str], now: datetime) -> dict[str, str]:
        """Return ``headers`` (with ``host``, names in lower case) and those of the signature.

        ``path`` and ``query`` are quoted as they are sent; ``now`` is in UTC.
        """
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        fields = {**headers, "x-amz-content-sha256": UNSIGNED, "x-amz-date": stamp}
        names = sorted(name for name in fields if name == "host" or name.startswith(("x-amz-", "content-md5")))
        signature, scope = self._sign(method, path, query, {name: fields[name] for name in names}, stamp)
        fields["authorization"] = (
            f"{_ALGORITHM} Credential={self._access_key!s}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return fields

    def presigned_query(self, path: str, host: str, seconds: int, now: datetime) -> str:
        """Return the query of a URL with which anybody may GET ``path`` for ``seconds``."""
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        query = canonical_query(
            {
                "X-Amz-Algorithm": _ALGORITHM,
                "X-Amz-Credential": f"{self._access_key!s}/{self._scope(stamp)}",
                "X-Amz-Date": stamp,
                "X-Amz-Expires": str(min(max(1, seconds), LONGEST_VALIDITY)),
                "X-Amz-SignedHeaders": "host",
            }
        )
        signature, _ = self._sign("GET", path, query, {"host": host}, stamp)
        return f"{query}&X-Amz-Signature={signature}"

    def _sign(self, method: str, path: str, query: str, headers: Mapping[str, str], stamp: str) -> tuple[str, str]:
        """Return the signature and its scope; ``headers`` are those to sign, in order."""
        lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in headers.items())
        request = f"{method}\n{path}\n{query}\n{lines}\n{';'.join(headers)}\n{UNSIGNED}"
        scope = self._scope(stamp)
        text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        return _hmac(self._signing_key(stamp[:8]), text).hex(), scope

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self._region}/s3/aws4_request"

    def _signing_key(self, day: str) -> bytes:
        known, key = self._key
        if known != day:
            key = f"AWS4{self._secret_key!s}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = _hmac(key, part)
            self._key = (day, key)
        return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
