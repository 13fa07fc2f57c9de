"""What this node sells, signed by its operator."""

import threading
from collections.abc import Callable

from agents.chain.wallet import Wallet
from agents.market.reads import Market
from agents.node.errors import Refusal
from agents.node.identity import Identity
from agents.node.serving import Models
from agents.protocol.manifest import canonical_json
from agents.protocol.wire import Offer, OfferedModel

_FRESH = 10
"""Seconds an offer is repeated before it is signed anew."""


class Offers:
    """The current offer; `open_` says whether new jobs are taken (a draining node offers no models)."""

    def __init__(
        self,
        identity: Identity,
        market: Market,
        models: Models,
        wallet: Wallet,
        open_: Callable[[], bool],
        starting: Callable[[], bool] = lambda: False,
    ) -> None:
        self._identity = identity
        self._market = market
        self._models = models
        self._wallet = wallet
        self._open = open_
        self._starting = starting
        self._lock = threading.Lock()
        self._last: Offer | None = None

    def current(self) -> Offer:
        """Raises Refusal (503) while models are loaded, ChainUnreachable when there is no chain time to date
        it by.
        """
        if self._starting():
            raise Refusal(503, "starting", "this node is just loading its models: ask again soon", 10)
        now, models = self._market.clock.now(), self._offered()
        with self._lock:
            last = self._last
            if last is None or not 0 <= now - int(last.time) < _FRESH or last.models != models:
                self._last = last = self._sign(now, models)
            return last

    def _offered(self) -> tuple[OfferedModel, ...]:
        if not self._open():
            return ()
        return tuple(
            OfferedModel.model_validate(
                {
                    "modelId": str(m.version.model_id),
                    "version": m.version.version,
                    "inputPrice": str(m.input_price),
                    "outputPrice": str(m.output_price),
                    "contextLength": m.context,
                    "bitClass": "0x" + m.bit_class.hex(),
                }
            )
            for m in self._models.values()
        )

    def _sign(self, now: int, models: tuple[OfferedModel, ...]) -> Offer:
        offer = Offer.model_validate(
            {
                "node": self._identity.node,
                "operator": self._wallet.address,
                "chainId": str(self._market.chain_id),
                "vault": self._market.vault.address,
                "encryptionKey": "0x" + self._identity.public_key.hex(),
                "models": models,
                "payTo": self._identity.pay_to,
                "time": str(now),
            }
        )
        body = offer.write()
        del body["signature"]
        signature = self._wallet.sign_text(canonical_json(body))
        return offer.model_copy(update={"signature": "0x" + signature.hex()})
