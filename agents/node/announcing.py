"""What the registry says of a node: where it is, and the key that prompts are sealed to."""

import logging
from urllib.parse import urlsplit

from agents.chain.outbox import Outbox
from agents.market.reads import Market
from agents.node.identity import Identity

log = logging.getLogger(__name__)

_PATIENCE = 300.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def announce(market: Market, outbox: Outbox, identity: Identity, endpoint: str, *, chosen: bool) -> str:
    """Have the registry name this node's key and endpoint, which the operator may; the endpoint it then has.

    Raises:
        IntentFailed, IntentTimeout, OutOfGasMoney: as `Outbox.wait`.
    """
    found = market.node(identity.node)
    known_host = urlsplit(found.endpoint).hostname
    if not chosen and known_host is not None and known_host not in _LOOPBACK:
        # Registered by somebody who knows better than a default: a proxy in front, say.
        endpoint = found.endpoint
    if found.endpoint == endpoint and found.encryption_key == identity.public_key:
        return endpoint
    action = f"endpoint {endpoint} (block {market.connection.latest().number})"
    data = market.nodes.data("setEndpoint", identity.node, identity.public_key, endpoint)
    outbox.put("registry", action, market.nodes.address, data)
    outbox.wait("registry", action, _PATIENCE)
    log.info("the registry names this endpoint now", extra={"endpoint": endpoint})
    return endpoint
