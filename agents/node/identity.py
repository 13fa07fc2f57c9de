"""Who this node is: its owner's address, its operator's key, and the key that prompts are sealed to."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nacl.public import PrivateKey

from agents.market.reads import Market
from agents.node.errors import IdentityError
from agents.protocol.sealing import keypair


@dataclass(frozen=True, slots=True)
class Identity:
    """`node` is the owner's address, `pay_to` the Vault account that is paid."""

    node: str
    operator: str
    pay_to: str
    public_key: bytes
    private_key: bytes = field(repr=False)


def encryption_key(folder: Path) -> tuple[bytes, bytes]:
    """The X25519 key pair (private, public) in `folder`/encryption.key, made when it is not there yet.

    Raises:
        IdentityError: the file is there and is no key.
    """
    path = folder / "encryption.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _create(path, keypair()[0].hex())
        private = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise IdentityError(
            f"can't use {path}: {getattr(error, 'strerror', None) or 'it holds no key'}"
        ) from None
    if len(private) != 32:
        raise IdentityError(
            f"{path} holds no X25519 key of 32 bytes: restore it, or move it away to have a new one made"
        )
    return private, bytes(PrivateKey(private).public_key)


def _create(path: Path, text: str) -> None:
    # Complete and private before it has its name; link, unlike rename, overwrites nothing.
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first; its key is as good
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def check_operator(market: Market, node: str, operator: str) -> None:
    """Raises IdentityError unless `node` is registered with this operator."""
    found = market.node(node)
    if not found.exists:
        raise IdentityError(
            f"node {node} is not registered on chain {market.chain_id}: its owner runs `agent node "
            f"register` once (with --operator {operator} where the owner's key is another one)"
        )
    if found.operator != operator:
        raise IdentityError(
            f"node {node} has operator {found.operator}, and this account is {operator}: use that account, "
            f"or have the owner run `agent node register --operator {operator}`"
        )
