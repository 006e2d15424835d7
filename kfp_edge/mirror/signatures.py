"""Ed25519 keys in PEM files, as `openssl genpkey -algorithm ed25519` writes them (RFC 8410)."""

from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from kfp_edge.errors import ParameterError


def read_private_key(file: Path) -> Ed25519PrivateKey:
    """Return the key that signs archives.

    Raises:
        ParameterError: the file has no such key, or one with a password.
    """
    # into another file, as this one may be needed
    make = "make one with `openssl genpkey -algorithm ed25519 -out NEW_KEY`"
    data = _read(file)
    if b"PUBLIC KEY" in data:
        raise ParameterError(f"{file} is a public key, by which sites verify an archive; sign with the private one.")
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:
        raise ParameterError(
            f"the key in {file} has a password, which cannot be given here; name a copy without it, which "
            f"`openssl pkey -in {file.name} -out NEW_FILE` writes."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ParameterError(f"{file} has no private key as a PEM file; {make}.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ParameterError(f"the key in {file} is not of the kind Ed25519; {make}.")
    return key


def read_public_key(file: Path) -> Ed25519PublicKey:
    """Return a key whose signatures the site accepts.

    Raises:
        ParameterError: the file has no such key.
    """
    remedy = "write it with `openssl pkey -in PRIVATE_KEY -pubout -out PUBLIC_KEY`"
    data = _read(file)
    if b"PRIVATE KEY" in data:
        # not into the same file, which would be the end of the private key
        raise ParameterError(
            f"{file} is a private key, which stays where archives are exported; write its public half with `openssl "
            f"pkey -in {file.name} -pubout -out {file.name}.pub` there, and bring that."
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ParameterError(f"{file} has no public key as a PEM file; {remedy}.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ParameterError(f"the key in {file} is not of the kind Ed25519; {remedy}.")
    return key


def is_signed(data: bytes, signature: bytes, keys: Iterable[Ed25519PublicKey]) -> bool:
    """Whether one of these keys signed the data."""
    for key in keys:
        try:
            key.verify(signature, data)
        except InvalidSignature:
            continue
        return True
    return False


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ParameterError(f"cannot read the key in {file}: {error.strerror}.") from error
