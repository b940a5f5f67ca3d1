"""Temporary URLs, with which a client reads an object without a token (Swift's middleware ``tempurl``)."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import unquote

from glimpse.stores.swift.account import Account
from glimpse.stores.swift.locations import Place


def signed(account: Account, place: Place, seconds: int) -> str | None:
    """Return a URL that is valid for ``seconds``; None if the account has no key, or the cluster no such URLs."""
    if "tempurl" not in account.capabilities():
        return None
    key = account.key_of_temporary_urls()
    if not key:
        return None
    scheme, _, rest = account.storage_url.partition("://")
    host, _, base = rest.partition("/")
    expires = int(time.time()) + seconds
    path = f"/{base}{place.path}"
    # Swift signs the path as it is without quoting
    text = f"GET\n{expires}\n{unquote(path)}"
    signature = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{scheme}://{host}{path}?temp_url_sig={signature}&temp_url_expires={expires}"
