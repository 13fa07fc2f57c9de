"""Getting one block from whichever of several peers has it."""

import logging
import threading
from collections import Counter
from collections.abc import Sequence

from agents.protocol.cid import Cid

from .errors import CorruptBlock, NoPeer, NotStored, PeerError
from .store import BlockSource

_TRIES = 3  # of one peer for one block
_STRIKES = 5  # failures in a row until a peer is given up

log = logging.getLogger(__name__)


class Swarm:
    """Peers to ask, the least busy first. One that sends a bad block or fails again and again is given up.

    Used by many threads at once.
    """

    def __init__(self, peers: Sequence[BlockSource]) -> None:
        self._peers = [_Peer(p) for p in peers]
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def stop(self) -> None:
        """End every wait and let every later `get` fail at once."""
        self._stop.set()

    def get(self, cid: Cid) -> bytes:
        """A verified block.

        Raises:
            NoPeer: nobody gave it; the text has each peer's reason.
        """
        tries: Counter[_Peer] = Counter()
        why: dict[str, str] = {}
        while peer := self._pick(tries):
            if tries[peer]:
                self._stop.wait(0.1 * 2 ** tries[peer])
            try:
                block = peer.source.get_block(cid)
                if not cid.verifies(block):
                    raise CorruptBlock(f"{peer.source.name} gave {len(block)} bytes that are not {cid}")
            except NotStored as error:
                tries[peer] = _TRIES
                why[peer.source.name] = str(error)
            except CorruptBlock as error:
                why[peer.source.name] = str(error)
                self._drop(peer, error)
            except PeerError as error:
                tries[peer] += 1
                why[peer.source.name] = str(error)
                self._strike(peer, error)
            else:
                peer.strikes = 0
                return block
            finally:
                with self._lock:
                    peer.busy -= 1
        dropped = {
            p.source.name: f"{p.source.name} was given up: {p.dropped}" for p in self._peers if p.dropped
        }
        reasons = "; ".join((dropped | why).values()) or "no peer is known"
        raise NoPeer(f"nobody gave block {cid}: {reasons}. What arrived is kept: add peers and repeat")

    def _pick(self, tries: Counter["_Peer"]) -> "_Peer | None":
        with self._lock:
            open_to = [p for p in self._peers if not p.dropped and tries[p] < _TRIES]
            if self._stop.is_set() or not open_to:
                return None
            peer = min(open_to, key=lambda p: (tries[p], p.busy))
            peer.busy += 1
            return peer

    def _strike(self, peer: "_Peer", error: Exception) -> None:
        with self._lock:
            peer.strikes += 1
            if peer.strikes < _STRIKES:
                return
        self._drop(peer, error)

    def _drop(self, peer: "_Peer", error: Exception) -> None:
        log.warning("asking %s no more: %s", peer.source.name, error)
        peer.dropped = str(error)


class _Peer:
    """What is known of one peer."""

    def __init__(self, source: BlockSource) -> None:
        self.source = source
        self.busy = 0
        self.strikes = 0
        self.dropped = ""
