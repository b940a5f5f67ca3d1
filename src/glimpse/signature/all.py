"""The verifiers of a service, created for the first signed image, because few installations have any."""

from __future__ import annotations

import logging
import threading

from glimpse.errors import Invalid
from glimpse.extras import needs
from glimpse.settings.errors import SettingsError
from glimpse.settings.model import SignatureOptions
from glimpse.signature.base import KeyManagerCaller, Properties, SignatureVerifier, SignatureVerifiers

LOG = logging.getLogger(__name__)


class LazyVerifiers:
    """:class:`~glimpse.signature.base.SignatureVerifiers` over the extra ``signatures``, loaded on first use.

    If the extra is not installed, signed images are refused, so that they are not taken for verified.
    """

    def __init__(self, options: SignatureOptions) -> None:
        self._options = options
        self._loading = threading.Lock()
        self._loaded: SignatureVerifiers | None = None

    def open(self, properties: Properties, caller: KeyManagerCaller) -> SignatureVerifier:
        """See :meth:`glimpse.signature.base.SignatureVerifiers.open`."""
        if self._loaded is None:
            with self._loading:
                self._loaded = self._loaded or self._load()
        return self._loaded.open(properties, caller)

    def _load(self) -> SignatureVerifiers:
        try:
            return _load(self._options)
        except ImportError as error:
            LOG.warning("Signature verification %s", needs(error, "signatures"))
            raise Invalid("This service cannot verify image signatures; its log has the reason.") from error


def try_signatures(options: SignatureOptions) -> None:
    """Check that the packages are installed if trusted certificates are configured. Does not connect.

    :raises SettingsError: a package is not installed.
    """
    if not options.trusted_certificates:
        return
    try:
        _load(options)
    except ImportError as error:
        allowed = needs(error, "signatures")
        raise SettingsError.of_option("glimpse", "signature_trusted_certificates", allowed) from error


def _load(options: SignatureOptions) -> SignatureVerifiers:
    from glimpse.signature.cursive import CursiveVerifiers  # noqa: PLC0415 - an extra

    return CursiveVerifiers(options)
