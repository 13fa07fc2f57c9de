"""A small HTTP server on the loopback interface that answers from a table and remembers what it was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes = b""
    status: int = 200
    missing: int = 0  # bytes announced in Content-Length but never sent


@dataclass
class Loopback:
    answers: dict[str, list[Answer]]  # by path; the last one is repeated
    base: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def serve(answers: dict[str, list[Answer]]) -> Iterator[Loopback]:
    state = Loopback({path: list(queue) for path, queue in answers.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            queue = state.answers.get(self.path, [Answer(b"not here", 404)])
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body) + answer.missing))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.base = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
