"""Signature verification by cursive, with certificates from the key manager through castellan (extra ``signatures``).

cursive itself gets certificates through the global configuration; here its parts are used with a separate
configuration.
"""

from __future__ import annotations

import logging
from typing import Any, cast

from castellan import key_manager
from castellan.common import utils as credentials
from castellan.common.exception import CastellanException
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cursive import certificate_utils, signature_utils
from cursive.exception import SignatureVerificationError
from keystoneauth1.exceptions import ClientException
from keystoneauth1.exceptions.connection import ConnectionError as NoConnection
from oslo_context.context import RequestContext

from glimpse.errors import Invalid, Unavailable
from glimpse.settings.model import SignatureOptions
from glimpse.settings.oslo import library_conf
from glimpse.signature.base import (
    CERTIFICATE,
    HASH_METHOD,
    KEY_TYPE,
    SIGNATURE,
    KeyManagerCaller,
    Properties,
    SignatureVerifier,
)

LOG = logging.getLogger(__name__)

# neither package has types
_signatures: Any = signature_utils
_certificates: Any = certificate_utils

#: The only certificate format that the key manager's library supports.
_X509 = "X.509"


class CursiveVerifiers:
    """The :class:`~glimpse.signature.base.SignatureVerifiers` of one service."""

    def __init__(self, options: SignatureOptions) -> None:
        self._conf = library_conf(options.library)
        self._trusted = options.trusted_certificates

    def open(self, properties: Properties, caller: KeyManagerCaller) -> SignatureVerifier:
        """See :meth:`glimpse.signature.base.SignatureVerifiers.open`."""
        try:
            signature = _signatures.get_signature(properties[SIGNATURE] or "")
            hash_method = _signatures.get_hash_method(properties[HASH_METHOD])
            key_type = _signatures.SignatureKeyType.lookup(properties[KEY_TYPE])
            certificate = self._checked_certificate(properties[CERTIFICATE] or "", caller)
            key = certificate.public_key()
        except SignatureVerificationError as error:
            raise Invalid(f"The image signature cannot be verified: {error}") from error
        except (UnsupportedAlgorithm, ValueError, TypeError) as error:
            # TypeError: from castellan, for a certificate that was stored as text
            raise Invalid(f"The certificate {properties[CERTIFICATE]} cannot be used: {error}") from error
        if not isinstance(key, key_type.public_key_type):
            raise Invalid(f"The key of certificate {properties[CERTIFICATE]} is not of type {properties[KEY_TYPE]}.")
        verifier = key_type.create_verifier(signature, hash_method, key)
        if verifier is None:
            raise Invalid("The image signature is empty.")
        return CursiveVerifier(verifier)

    def _checked_certificate(self, certificate_id: str, caller: KeyManagerCaller) -> x509.Certificate:
        manager = cast("Any", key_manager).API(self._conf)
        context = self._key_manager_context(caller)
        certificate = _certificate(manager, context, certificate_id)
        if self._trusted:
            trusted = [(name, _certificate(manager, context, name)) for name in self._trusted]
            check = _certificates.CertificateVerificationContext(trusted)
            check.update(certificate)
            check.verify()
        return certificate

    def _key_manager_context(self, caller: KeyManagerCaller) -> object:
        """Build the identity for the request: the caller's token, else the account in ``[key_manager]``, else an empty
        context.

        A key manager such as Vault authenticates the service by other options, and accepts any context.
        """
        context = RequestContext(
            auth_token=caller.token, project_id=caller.project_id, user_id=caller.user_id, overwrite=False
        )
        self._conf.register_opts(credentials.credential_opts, group=credentials.OPT_GROUP)
        if caller.token is None and cast("Any", self._conf).key_manager.auth_type is not None:
            return credentials.credential_factory(self._conf, context)
        return context


class CursiveVerifier:
    """Wraps one of cursive's verifiers, with our errors."""

    def __init__(self, verifier: Any) -> None:
        self._verifier = verifier

    def update(self, batch: bytes | bytearray | memoryview) -> None:
        """See :meth:`glimpse.signature.base.SignatureVerifier.update`."""
        self._verifier.update(batch)

    def verify(self) -> None:
        """See :meth:`glimpse.signature.base.SignatureVerifier.verify`."""
        try:
            self._verifier.verify()
        except InvalidSignature as error:
            raise Invalid("The image signature does not match the data.") from error


def _certificate(manager: Any, context: object, certificate_id: str) -> x509.Certificate:
    try:
        found = manager.get(context, certificate_id)
    except (CastellanException, ClientException) as error:
        # the user sees which certificate, and only the operator sees the reason, which may contain host names
        LOG.warning("The key manager did not return the certificate %s: %s", certificate_id, error)
        sentence = f"The certificate {certificate_id} cannot be read from the key manager."
        raise (Unavailable(sentence) if _unreachable(error) else Invalid(sentence)) from error
    if found.format != _X509:
        raise Invalid(f"Key manager object {certificate_id} is not an X.509 certificate.")
    return x509.load_der_x509_certificate(found.get_encoded())


def _unreachable(error: BaseException) -> bool:
    """Tell whether the key manager or its Keystone did not answer; castellan wraps some errors in its own."""
    return isinstance(error, NoConnection) or isinstance(error.__context__, NoConnection)
