"""`agent store`: content by CID."""

import os
from pathlib import Path
from typing import Any

import click

from agents.protocol.cid import Cid
from agents.storage.fetch import fetch_http
from agents.storage.local import LocalStore

_GIB = 1 << 30

_FOLDER = click.option(
    "--store-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The store's folder. [$CAPEK_STORE_DIR, $CAPEK_HOME/store, ~/.capek/store]",
)


@click.group(
    epilog="""\b
Examples:
  agent store add model.gguf
  agent store serve --port 8580
  agent store get bafybei… --from http://127.0.0.1:8580"""
)
def store() -> None:
    """Add, fetch and serve content. Every block is verified whenever it is read."""


@store.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_FOLDER
def add(file: Path, store_dir: Path | None) -> None:
    """Copy FILE into the store and print its CID, the one Kubo would give it."""
    click.echo(str(_open(store_dir).add_file(file)))


@store.command()
@click.argument("cid")
@click.option(
    "--from", "peers", multiple=True, metavar="URL", help="Base address of a node or gateway. Repeatable."
)
@click.option(
    "--max-gib", type=click.FloatRange(0, min_open=True), default=64.0, help="Refuse more than this. [64]"
)
@_FOLDER
def get(cid: str, peers: tuple[str, ...], max_gib: float, store_dir: Path | None) -> None:
    """Fetch CID into the store, from several peers at once, and print the file's path."""
    wanted = Cid.parse(cid)
    label = cid[:16] + "…"
    bar: Any
    with click.progressbar(length=1, label=label, file=click.get_text_stream("stderr")) as bar:

        def progress(here: int, of: int) -> None:
            bar.length = of
            bar.update(here - bar.pos)

        path = fetch_http(_open(store_dir), wanted, peers, int(max_gib * _GIB), progress)
    click.echo(str(path))


@store.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8580, show_default=True)
@_FOLDER
def serve(host: str, port: int, store_dir: Path | None) -> None:
    """Serve the store's blocks in trustless-gateway form until Ctrl-C. All of the store is public by this."""
    import uvicorn
    from fastapi import FastAPI

    from agents.storage.serve import router

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(router(_open(store_dir)))
    click.echo(f"serving http://{host}:{port}/ipfs/<cid>?format=raw; Ctrl-C stops it")
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)


def _open(given: Path | None) -> LocalStore:
    if given is None:
        home = Path(os.environ.get("CAPEK_HOME") or Path.home() / ".capek").expanduser()
        given = Path(os.environ.get("CAPEK_STORE_DIR") or home / "store")
    return LocalStore(given.expanduser())
