"""Publishing a model: what lies where afterwards, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agents.chain.contracts import Contract
from agents.chain.devchain import dev_wallet
from agents.cli import cli
from agents.market.errors import NoModel
from agents.market.models import look_up
from agents.market.reads import Market
from agents.protocol.cid import Cid
from agents.protocol.manifest import Manifest, manifest_cid
from agents.protocol.messages import model_id
from agents.storage.local import LocalStore
from agents.trainer.publish import RULES

ADDRESS = dev_wallet(1).address
NAME = "smollm2-135m"
TERMS = ("--name", NAME, "--licence", "Apache-2.0", "--fee", "0.05")


def agent(*args: str) -> Any:
    result = CliRunner(mix_stderr=False).invoke(cli, list(args))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def publish(file: Path, *args: str) -> Any:
    return agent("trainer", "publish", str(file), *args)


def registered(market: Market) -> int:
    logs = market.connection.logs([market.models.address], 0, market.connection.latest().number)
    return len(logs)


def test_a_published_model_can_be_found_fetched_and_sold(
    market: Market, weights: Path, tmp_path: Path
) -> None:
    ran = publish(weights, *TERMS, "--supply", "1000", "--json")
    assert ran.exit_code == 0, ran.stderr
    found = json.loads(ran.stdout)
    number = int(found["modelId"])
    assert number == model_id(ADDRESS, NAME)
    version = look_up(market, number)
    assert (version.trainer, version.name, version.version, version.fee) == (ADDRESS, NAME, 0, 50_000)
    store = LocalStore(tmp_path / "home" / "store")
    manifest = Manifest.load(store.get_block(manifest_cid(version.digest)), version.digest)
    assert str(manifest.cid()) == found["manifest"]
    assert manifest.weights.cid == found["weights"]
    assert manifest.weights.size == weights.stat().st_size
    assert (manifest.weights.quantization, manifest.context_length) == ("Q4_1", 8192)
    assert 2 in manifest.end_tokens
    assert manifest.verification.tolerant.sampled.slash_max == 4_970_000
    assert found["bitClasses"] == list(manifest.bit_classes)
    assert store.path_of(Cid.parse(found["weights"])).read_bytes()[:4] == b"GGUF"
    token = Contract(market.connection, "ModelToken", found["token"])
    assert token.call("balanceOf", ADDRESS) == token.call("totalSupply") == 1000 * 10**18
    assert token.call("symbol") == "SMOLLM2135M"


def test_publishing_again_says_so_and_another_model_of_the_name_is_refused(
    market: Market, weights: Path
) -> None:
    assert publish(weights, *TERMS).exit_code == 0
    count = registered(market)
    again = publish(weights, *TERMS)
    assert again.exit_code == 0
    assert "published before" in again.stderr
    assert "tx " not in again.stdout
    assert json.loads(publish(weights, *TERMS, "--json").stdout)["publishedBefore"] is True
    dearer = publish(weights, *TERMS[:-1], "0.06")
    assert dearer.exit_code == 2
    assert "fee is 50000" in dearer.stderr
    other = publish(weights, "--name", NAME, "--licence", "MIT", "--fee", "0.05")
    assert other.exit_code == 2
    assert "another licence" in other.stderr
    assert "--name" in other.stderr
    assert registered(market) == count


def test_thresholds_that_would_slash_honest_nodes_are_refused_before_anything_is_stored(
    market: Market, weights: Path, tmp_path: Path
) -> None:
    low = json.loads(RULES.model_dump_json())
    low["exact"]["slash_max"] = 0
    rules = tmp_path / "thresholds.json"
    rules.write_text(json.dumps(low))
    refused = publish(weights, *TERMS, "--verification", str(rules))
    assert refused.exit_code == 2
    assert "exact.slash_max is 0, at least 20000" in refused.stderr
    assert registered(market) == 0
    size = weights.stat().st_size
    assert all(file.stat().st_size < size for file in (tmp_path / "home" / "store").rglob("*"))


def test_a_publication_that_was_killed_is_finished_once(
    market: Market, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr("agents.market.account.Account.wait", die)
        with pytest.raises(Killed):
            publish(weights, *TERMS)
    assert registered(market) == 0
    assert publish(weights, *TERMS, "--json").exit_code == 0
    assert look_up(market, model_id(ADDRESS, NAME)).fee == 50_000


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(b"GGUF"), "too few"),
        (lambda path: path.write_bytes(b"\x89PNG" + path.read_bytes()[4:5000]), "does not begin with GGUF"),
        (lambda path: path.write_bytes(path.read_bytes()[:60_000_000]), "fetch the weights again"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "ends within its header"),
        (lambda path: path.unlink(), "can't be read"),
    ],
    ids=["too short", "no GGUF", "cut off", "cut off in its header", "missing"],
)
def test_a_damaged_file_is_refused_and_nothing_is_registered(
    market: Market, weights: Path, tmp_path: Path, damage: Any, says: str
) -> None:
    file = tmp_path / "model.gguf"
    shutil.copy(weights, file)
    damage(file)
    ran = publish(file, *TERMS)
    assert ran.exit_code == 2, ran.stderr
    assert says in ran.stderr
    assert registered(market) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"--name": "Smol LM"}, "no model's name"),
        ({"--name": "123"}, "taken for a model's number"),
        ({"--fee": "-1"}, "not an amount"),
        ({"--fee": "0.0000001"}, "finer"),
        ({"--symbol": "A B"}, "no token's symbol"),
        ({"--supply": "0"}, "zero"),
        ({"--licence": ""}, "licence"),
    ],
)
def test_terms_that_make_no_sense_are_refused(
    market: Market, weights: Path, changes: dict[str, str], says: str
) -> None:
    terms = {"--name": NAME, "--licence": "Apache-2.0", "--fee": "0.05"} | changes
    ran = publish(weights, *(part for pair in terms.items() for part in pair))
    assert ran.exit_code == 2
    assert says in ran.stderr
    with pytest.raises(NoModel):
        look_up(market, model_id(ADDRESS, NAME))


def test_collecting_when_nothing_waits_costs_nothing(market: Market, weights: Path) -> None:
    assert publish(weights, *TERMS, "--fee", "0").exit_code == 0
    before = market.connection.balance(ADDRESS)
    ran = agent("trainer", "collect", NAME, "--json")
    assert ran.exit_code == 0
    assert json.loads(ran.stdout)["moved"] == "0"
    assert market.connection.balance(ADDRESS) == before
    assert agent("trainer", "collect", "nothing").exit_code == 7
