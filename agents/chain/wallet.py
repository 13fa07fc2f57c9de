"""Keys: Ethereum keystores (Web3 Secret Storage, version 3), those of ape included.

A name is an alias in the keystore folder, or a path to a keyfile.
"""

import getpass
import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eth_account import Account
from eth_account.messages import encode_defunct
from web3 import Web3

from agents.chain.errors import ChainError
from agents.protocol.messages import Domain, Message, sign

log = logging.getLogger(__name__)


class WalletError(ChainError):
    """A key can't be used; the text says why and what to do."""


class NoSuchAccount(WalletError):
    """No keystore of that name; the text lists those that exist."""


class WrongPassword(WalletError):
    """The password does not open the keystore."""


class NoPassword(WalletError):
    """No password was given and none can be asked for."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction, ready to send."""

    raw: bytes
    hash: bytes


class Signer(Protocol):
    """Whoever can sign transactions for one address: a Wallet, or a hardware wallet behind ape."""

    @property
    def address(self) -> str: ...

    def sign_transaction(self, tx: dict[str, Any]) -> Signed: ...


class Wallet:
    """An unlocked key. It never shows itself: not in repr, not in pickle."""

    __slots__ = ("__account", "address")

    def __init__(self, private_key: bytes) -> None:
        try:
            self.__account = Account.from_key(private_key)
        except Exception:
            # The library's message may hold the key.
            raise WalletError("the private key is no secp256k1 key of 32 bytes") from None
        self.address: str = self.__account.address

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a Wallet can't be pickled: load its keystore where it is needed")

    @classmethod
    def load(cls, name: str, *, password: str | None = None, password_file: Path | None = None) -> "Wallet":
        """Unlock a keystore. The password is looked for in this order: `password`, `password_file`,
        $CAPEK_PASSWORD, the file $CAPEK_PASSWORD_FILE, a prompt.

        Raises:
            NoSuchAccount, WrongPassword, NoPassword, WalletError.
        """
        path = find(name)
        keyfile = _read(path)
        if path.stat().st_mode & 0o077:
            log.warning("keystore %s can be read by others: chmod 600 it", path)
        secret = password if password is not None else read_password(f"Password of {name}: ", password_file)
        try:
            return cls(bytes(Account.decrypt(keyfile, secret)))
        except ValueError as e:
            if "MAC" in str(e):
                raise WrongPassword(f"wrong password for {name} ({path})") from None
            raise WalletError(f"{path} is not a keystore this program can open: {e}") from None
        except (KeyError, TypeError, NotImplementedError):
            raise WalletError(f"{path} is not a version 3 keystore") from None

    @classmethod
    def create(
        cls,
        alias: str,
        *,
        password: str | None = None,
        password_file: Path | None = None,
        private_key: bytes | None = None,
        rounds: int | None = None,
    ) -> "Wallet":
        """Make a keystore (mode 0600) of a new key, or of `private_key`. `rounds` is scrypt's n: None is the
        safe default, less is for keys of local chains.

        Raises:
            WalletError: there is an account of that name, or the name is not fit for a file.
        """
        if (
            not alias
            or alias.startswith((".", "-"))
            or any(c in alias for c in "/\\\0")
            or alias.endswith(".json")
        ):
            raise WalletError(f"an account's name can't be {alias!r}: use letters, digits and dashes")
        path = keystore_folder() / f"{alias}.json"
        if path.exists():
            raise _exists(alias, path)
        if password is not None:
            secret = password
        else:
            secret = read_password(f"New password for {alias}: ", password_file, confirm=True)
        wallet = cls(private_key if private_key is not None else bytes(Account.create().key))
        text = json.dumps(wallet.__account.encrypt(secret, iterations=rounds))
        # Complete, private and on the disk before it has its name; link, unlike rename, overwrites nothing.
        draft = path.with_name(f".{alias}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            raise _exists(alias, path) from None
        except OSError as e:
            raise WalletError(f"can't write keystore {path}: {e.strerror}: nothing was made") from None
        finally:
            draft.unlink(missing_ok=True)
        return wallet

    def sign_transaction(self, tx: dict[str, Any]) -> Signed:
        """Sign a transaction given as eth-account takes it."""
        signed = self.__account.sign_transaction(tx)
        return Signed(bytes(signed.raw_transaction), bytes(signed.hash))

    def sign_message(self, domain: Domain, message: Message) -> bytes:
        """EIP-712: the 65-byte signature of a protocol message."""
        return sign(domain, message, bytes(self.__account.key))

    def sign_text(self, text: bytes) -> bytes:
        """EIP-191 (personal_sign): a 65-byte signature, v 27 or 28."""
        return bytes(self.__account.sign_message(encode_defunct(primitive=text)).signature)


def keystore_folder() -> Path:
    """`$CAPEK_KEYSTORE`, or ape's own: `$APE_DATA_FOLDER/accounts`, `~/.ape/accounts`."""
    if own := os.environ.get("CAPEK_KEYSTORE"):
        return Path(own).expanduser()
    return Path(os.environ.get("APE_DATA_FOLDER") or Path.home() / ".ape").expanduser() / "accounts"


def aliases() -> list[str]:
    """Names of the accounts in the keystore folder."""
    return sorted(path.stem for path in keystore_folder().glob("[!.]*.json"))


def find(name: str) -> Path:
    """The keyfile of an account.

    Raises:
        NoSuchAccount: there is none; lists those that exist.
    """
    path = Path(name).expanduser()
    if "/" not in name and not name.endswith(".json"):
        path = keystore_folder() / f"{name}.json"
    if path.is_file():
        return path
    there = ", ".join(aliases()) or "none yet"
    raise NoSuchAccount(f"no account {name} ({path}); accounts in {keystore_folder()}: {there}")


def address_of(name: str) -> str:
    """An account's checksummed address, without its password.

    Raises:
        NoSuchAccount, or WalletError when the keyfile does not say.
    """
    path = find(name)
    address = _read(path).get("address")
    if not isinstance(address, str) or not Web3.is_address(address):
        raise WalletError(f"{path} does not name its address: unlock it to learn it")
    return Web3.to_checksum_address(address)


def read_password(prompt: str, file: Path | None = None, *, confirm: bool = False) -> str:
    """A password from `file`, $CAPEK_PASSWORD, the file $CAPEK_PASSWORD_FILE, or a hidden prompt. One newline
    at a file's end is not part of it.

    Raises:
        NoPassword: nobody can be asked, or a file can't be read.
        WrongPassword: the two typed passwords differ.
    """
    if file is None:
        if (given := os.environ.get("CAPEK_PASSWORD")) is not None:
            return given
        if named := os.environ.get("CAPEK_PASSWORD_FILE"):
            file = Path(named).expanduser()
    if file is not None:
        try:
            if file.stat().st_mode & 0o077:
                log.warning("password file %s can be read by others: chmod 600 it", file)
            return file.read_text().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as e:
            raise NoPassword(
                f"can't read password file {file}: {getattr(e, 'strerror', 'it is not text')}"
            ) from None
    if not sys.stdin.isatty():
        raise NoPassword(
            "no password: set CAPEK_PASSWORD_FILE (or CAPEK_PASSWORD), or run this in a terminal"
        )
    typed = getpass.getpass(prompt)
    if confirm and getpass.getpass("Again: ") != typed:
        raise WrongPassword("the two passwords differ: nothing was made, try again")
    return typed


def _exists(alias: str, path: Path) -> WalletError:
    return WalletError(
        f"there is an account {alias} already ({path}): it is never overwritten, choose another name"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as e:
        raise WalletError(f"can't read keystore {path}: {e.strerror}") from None
    except ValueError:
        raise WalletError(f"{path} is not JSON: not a keystore") from None
    if not isinstance(found, dict):
        raise WalletError(f"{path} is not a keystore")
    return found
