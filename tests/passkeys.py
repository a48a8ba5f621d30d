"""A passkey as the site keeps it, made without a browser."""

from hashlib import sha256
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from portal.accounts.models import Account


def give_passkey(account: Account, name: str) -> Authenticator:
    number = f"key of {account.pk}".encode()
    public = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    flags = AuthenticatorData.FLAG
    data = AuthenticatorData.create(
        sha256(b"testserver").digest(),
        flags.UP | flags.UV | flags.AT,
        0,
        AttestedCredentialData.create(Aaguid.NONE, number, public),
    )
    client = CollectedClientData.create(
        type="webauthn.create", challenge=b"c" * 32, origin="https://testserver"
    )
    credential: dict[str, Any] = {
        "id": websafe_encode(number),
        "rawId": websafe_encode(number),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(client),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        },
        "clientExtensionResults": {"credProps": {"rk": True}},
    }
    return Authenticator.objects.create(
        user=account,
        type=Authenticator.Type.WEBAUTHN,
        data={"name": name, "credential": credential},
    )
