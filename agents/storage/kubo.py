"""Content kept by an IPFS daemon (Kubo), over its RPC API.

Our own blocks go up by `block/put`, never files by `add`: so CIDs can't depend on the daemon's defaults. What
comes back is verified block by block: a daemon has been seen to return a flipped bit as success.
"""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import ipfshttpclient
from ipfshttpclient import exceptions

from agents.protocol.cid import RAW, Cid

from . import dag
from .errors import CorruptBlock, NotStored, PeerError, StorageError

# ipfshttpclient passes urllib3 2 an argument that it only warns of, once a request
warnings.filterwarnings("ignore", message="The 'strict' parameter", category=FutureWarning)

DEFAULT_API = "/ip4/127.0.0.1/tcp/5001"


class KuboStore:
    """A Store over a daemon's RPC at `api` (a multiaddr); `timeout` in seconds bounds every call.

    A block that the daemon does not have it looks for in its network until the timeout.

    Raises:
        PeerError: no daemon answers there.
    """

    def __init__(self, api: str = DEFAULT_API, timeout: float = 60.0) -> None:
        self._api = api
        with warnings.catch_warnings():  # the library knows no daemon of these years and says so each time
            warnings.simplefilter("ignore", exceptions.VersionMismatch)
            try:
                self._client = ipfshttpclient.connect(api, timeout=timeout, chunk_size=dag.CHUNK)
            except exceptions.Error as error:
                raise PeerError(
                    f"no IPFS daemon answers at {api} ({type(error).__name__}): start it, "
                    "correct its address, or use the embedded store"
                ) from None

    @property
    def name(self) -> str:
        """How errors call this daemon."""
        return f"the IPFS daemon at {self._api}"

    def get_block(self, cid: Cid) -> bytes:
        """A block's bytes, verified.

        Raises:
            NotStored: neither the daemon nor, within the timeout, its network has it.
            CorruptBlock: the daemon gave other bytes.
            PeerError: the daemon does not answer properly.
        """
        block = bytearray()
        try:
            with self._client.block.get(str(cid), stream=True) as pieces:
                for piece in pieces:
                    block += piece
                    if len(block) > dag.MAX_BLOCK:
                        raise CorruptBlock(f"{self.name} gave more than {dag.MAX_BLOCK} bytes for {cid}")
        except (exceptions.TimeoutError, exceptions.ErrorResponse) as error:
            raise NotStored(f"{self.name} has no {cid}: {_text(error)}") from None
        except exceptions.Error as error:
            raise self._failed("giving", cid, error) from None
        if not cid.verifies(block):
            raise CorruptBlock(
                f"{self.name} gave {len(block)} bytes that are not {cid}: run `ipfs repo verify` there, "
                "or fetch from another peer"
            )
        return bytes(block)

    def has(self, cid: Cid) -> bool:
        """Whether the daemon itself has the block; its network is not asked.

        Raises:
            PeerError: the daemon does not answer.
        """
        try:
            self._client.block.stat(str(cid), opts={"offline": "true"})
        except (exceptions.ErrorResponse, exceptions.TimeoutError):
            return False
        except exceptions.Error as error:
            raise self._failed("looking for", cid, error) from None
        return True

    def put_block(self, cid: Cid, block: bytes) -> None:
        """Give the daemon a block to keep (unpinned: its garbage collector may drop it).

        Raises:
            CorruptBlock: the bytes do not have that hash.
            PeerError: the daemon does not answer, or calls the block something else.
        """
        if not cid.verifies(block):
            raise CorruptBlock(f"these {len(block)} bytes are not {cid}: get them again from elsewhere")
        codec = "raw" if cid.codec == RAW else "dag-pb"
        named = self._put(cid, block, {"cid-codec": codec})
        if named != str(cid):  # a daemon from before Kubo 0.12, which took the codec by another option
            named = self._put(cid, block, {"format": codec, "version": "1"})
        if named != str(cid):
            raise PeerError(f"{self.name} calls block {cid} {named}: use Kubo 0.12 or later")

    def add_bytes(self, data: bytes) -> Cid:
        """Keep bytes as a file, pinned; returns its CID."""
        return self._add(io.BytesIO(data))

    def add_file(self, path: Path) -> Cid:
        """Keep a file's content, pinned; returns its CID.

        Raises:
            StorageError: the file can't be read.
            PeerError: the daemon does not answer.
        """
        try:
            with open(path, "rb") as file:
                return self._add(file)
        except OSError as error:
            raise StorageError(f"can't read {path}: {error.strerror}") from None

    def cat(self, cid: Cid, max_size: int) -> Iterator[bytes]:
        """A file's content, verified, a chunk at a time; errors as LocalStore's."""
        return dag.cat(cid, self.get_block, max_size)

    def _add(self, file: io.BufferedIOBase) -> Cid:
        tree = dag.import_file(file)
        for leaf in tree.leaves:
            file.seek(leaf.offset)
            self.put_block(leaf.cid, file.read(leaf.size))
        for cid, block in tree.nodes:
            self.put_block(cid, block)
        try:
            self._client.pin.add(str(tree.root))
        except exceptions.Error as error:
            raise self._failed("pinning", tree.root, error) from None
        return tree.root

    def _put(self, cid: Cid, block: bytes, options: dict[str, str]) -> str:
        try:
            answer = self._client.block.put(io.BytesIO(block), opts=options | {"mhtype": "sha2-256"})
        except exceptions.Error as error:
            raise self._failed("taking", cid, error) from None
        return str(answer["Key"])

    def _failed(self, doing: str, cid: Cid, error: Exception) -> PeerError:
        return PeerError(f"{self.name} failed while {doing} {cid}: {_text(error)}. Is it still running?")


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
