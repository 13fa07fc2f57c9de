"""Finding a market: an RPC, and the file that says where its contracts are."""

from pathlib import Path

from agents.chain.connection import Connection
from agents.chain.deployment import Deployment
from agents.chain.paths import chain_home
from agents.market.reads import Market

_CONTRACTS = ("Vault", "ModelRegistry", "NodeRegistry", "JobEscrow", "TuningGovernor")


def deployment_path(chain_id: int, given: Path | None = None) -> Path:
    """`given`, or the first there is of `deployments/<chainId>.json` here, beside this program, and in the
    user's state.
    """
    name = f"{chain_id}.json"
    places = (
        Path("deployments") / name,
        Path(__file__).parents[2] / "deployments" / name,
        chain_home(chain_id) / "deployment.json",
    )
    return given or next((path for path in places if path.exists()), places[0])


def open_market(rpc_url: str, deployment: Path | None = None) -> Market:
    """Connect to a chain and to the market deployed on it.

    Raises:
        ChainUnreachable, WrongChain, NoContract, DeploymentError: the text says what to do.
    """
    connection = Connection.open(rpc_url)
    found = Deployment.load(deployment_path(connection.chain_id, deployment), connection)
    contracts = {name: found.contract(connection, name) for name in _CONTRACTS}
    return Market(connection, contracts | {"token": found.contract(connection, "Token")}, found.block)
