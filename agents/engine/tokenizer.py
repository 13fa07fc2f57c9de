"""Tokens and text by the vocabulary and the chat template inside a GGUF file."""

import codecs
import ctypes
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agents.engine.errors import ChatTemplateError, EngineError, InvalidTokens
from agents.engine.interface import Message
from agents.engine.native import Model, lib

_PIECE_BYTES = 256


class LlamaTokenizer:
    """A vocabulary, safe to use from any thread.

    `chat_template` replaces the one in the file, as a manifest may.
    """

    def __init__(self, model: Model, chat_template: str | None = None) -> None:
        self._model = model
        self._pieces: dict[int, bytes] = {}
        if chat_template is None:
            stored = lib.llama_model_chat_template(model.pointer, None)
            chat_template = stored.decode() if stored else None
        self._template = chat_template
        self.end_tokens = frozenset(
            i for i in range(model.vocab_size) if lib.llama_vocab_is_eog(model.vocab, i)
        )

    @classmethod
    def open(cls, path: Path, chat_template: str | None = None) -> "LlamaTokenizer":
        """Load the vocabulary of a weights file without the weights.

        Raises:
            ModelFileError: the file is missing, damaged or unknown to llama.cpp.
        """
        return cls(Model(path, vocab_only=True), chat_template)

    @property
    def vocab_size(self) -> int:
        return self._model.vocab_size

    def tokenize(self, text: str) -> list[int]:
        return self._tokenize(text, special=False)

    def tokenize_chat(self, messages: Sequence[Message]) -> list[int]:
        text = self._render(messages)
        tokens = self._tokenize(text, special=True)
        bos = lib.llama_vocab_bos(self._model.vocab)
        if lib.llama_vocab_get_add_bos(self._model.vocab) and tokens[:1] != [bos]:
            tokens.insert(0, bos)
        return tokens

    def detokenize(self, tokens: Sequence[int]) -> str:
        return b"".join(map(self.piece, tokens)).decode(errors="replace")

    def stream(self) -> "Utf8Stream":
        return Utf8Stream(self)

    def piece(self, token: int) -> bytes:
        """The bytes of one token, which may be a part of a character; none for a control token.

        Raises:
            InvalidTokens: the id is outside the vocabulary.
        """
        found = self._pieces.get(token)
        if found is None:
            if not 0 <= token < self.vocab_size:
                raise InvalidTokens(f"token {token} is outside the vocabulary of {self.vocab_size}")
            size = _PIECE_BYTES
            while True:
                buffer = ctypes.create_string_buffer(size)
                written = lib.llama_token_to_piece(self._model.vocab, token, buffer, size, 0, False)
                if written >= 0:
                    break
                size = -written
            found = self._pieces[token] = buffer.raw[:written]
        return found

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise InvalidTokens(
                "the text holds half a surrogate pair: remove it, it is no character"
            ) from None
        size = len(data) + 1  # no token is empty
        buffer = (lib.llama_token * size)()
        count = lib.llama_tokenize(self._model.vocab, data, len(data), buffer, size, False, special)
        if count < 0:
            raise EngineError(f"llama.cpp can't tokenize a text of {len(data)} bytes")
        return buffer[:count]

    def _render(self, messages: Sequence[Message]) -> str:
        if self._template is None:
            raise ChatTemplateError("the weights file has no chat template: use a model tuned for chat")
        if not messages:
            raise ChatTemplateError("there are no messages: give at least one with role user")
        for message in messages:
            if not (isinstance(message.get("role"), str) and isinstance(message.get("content"), str)):
                raise ChatTemplateError("every message needs a role and a content, both text")
        bos, eos = (lib.llama_vocab_bos(self._model.vocab), lib.llama_vocab_eos(self._model.vocab))
        try:
            return (
                _environment()
                .from_string(self._template)
                .render(
                    messages=[dict(m) for m in messages],
                    add_generation_prompt=True,
                    bos_token=self._name(bos),
                    eos_token=self._name(eos),
                )
            )
        except TemplateError as error:
            raise ChatTemplateError(f"the model's chat template refuses these messages: {error}") from None
        except Exception as error:  # whatever a stranger's template runs into: its text might quote a message
            raise ChatTemplateError(f"the model's chat template fails with {type(error).__name__}") from None

    def _name(self, token: int) -> str:
        text = lib.llama_vocab_get_text(self._model.vocab, token) if token >= 0 else None
        return text.decode(errors="replace") if text else ""


class Utf8Stream:
    """Text of tokens as they come, whole characters only."""

    def __init__(self, tokenizer: LlamaTokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        return self._decoder.decode(self._tokenizer.piece(token))

    def close(self) -> str:
        return self._decoder.decode(b"", final=True)


def _environment() -> ImmutableSandboxedEnvironment:
    # As Hugging Face renders templates: a manifest's author writes them for that.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
