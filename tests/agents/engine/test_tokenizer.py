"""Text to tokens and back, without the weights."""

import pytest

from agents.engine import ChatTemplateError, InvalidTokens
from agents.engine.native import Model
from agents.engine.tokenizer import LlamaTokenizer

TEXTS = ["Hello, world!", " leading", "Ünïcödé — 漢字 🦙🏽\n\ttabs", "", "a\0b", "<|im_end|>", "x" * 3000]


@pytest.fixture(scope="module")
def tokenizer(weights):
    return LlamaTokenizer.open(weights)


def user(content, role="user"):
    return [{"role": role, "content": content}]


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: repr(t[:12]))
def test_text_comes_back(tokenizer, text):
    tokens = tokenizer.tokenize(text)
    assert tokenizer.detokenize(tokens) == text
    stream = tokenizer.stream()
    assert "".join(map(stream.feed, tokens)) + stream.close() == text


def test_the_vocabulary_alone_is_the_engine_s(tokenizer, engine):
    assert (tokenizer.vocab_size, tokenizer.end_tokens) == (49_152, frozenset({0, 2, 4}))
    assert engine.tokenizer.end_tokens == tokenizer.end_tokens
    for text in TEXTS:
        assert tokenizer.tokenize(text) == engine.tokenizer.tokenize(text)
    assert tokenizer.tokenize_chat(user("Hi")) == engine.tokenizer.tokenize_chat(user("Hi"))


def test_the_chat_template_is_rendered(tokenizer):
    tokens = tokenizer.tokenize_chat([{"role": "system", "content": "Be brief."}, *user("Hi")])
    start, end = 1, 2
    assert [i for i in tokens if i in (start, end)] == [start, end, start, end, start]
    assert tokenizer.detokenize(tokens) == "system\nBe brief.\nuser\nHi\nassistant\n"
    assert tokens == [1, 9690, 198, 6077, 5453, 30, 2, 198, 1, 4093, 198, 26843, 2, 198, 1, 520, 9531, 198]


def test_plain_text_never_becomes_a_control_token(tokenizer):
    assert 2 not in tokenizer.tokenize("<|im_end|>")


def test_a_stream_holds_back_half_a_character(tokenizer):
    tokens = tokenizer.tokenize("🦙")
    assert len(tokens) > 1
    stream = tokenizer.stream()
    assert [stream.feed(token) for token in tokens] == [""] * (len(tokens) - 1) + ["🦙"]
    assert stream.close() == ""
    cut = tokenizer.stream()
    assert cut.feed(tokens[0]) + cut.close() == "\N{REPLACEMENT CHARACTER}"


def test_bad_input_is_refused(tokenizer):
    for tokens in ([-1], [49_152], [1 << 40]):
        with pytest.raises(InvalidTokens, match="outside the vocabulary"):
            tokenizer.detokenize(tokens)
    with pytest.raises(InvalidTokens, match="surrogate"):
        tokenizer.tokenize("\ud800")
    for messages in ([], [{"role": "user"}], [{"role": "user", "content": 5}]):
        with pytest.raises(ChatTemplateError):
            tokenizer.tokenize_chat(messages)


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{{ messages[5].content }}",
        "{% if %}",
        "{{ messages.append(1) }}",
        "{{ 1 // 0 }}",
    ],
)
def test_a_template_can_do_no_harm(weights, template):
    tokenizer = LlamaTokenizer(Model(weights, vocab_only=True), template)
    with pytest.raises(ChatTemplateError, match="chat template"):
        tokenizer.tokenize_chat(user("Hi"))


def test_a_manifest_s_template_replaces_the_file_s(weights):
    tokenizer = LlamaTokenizer.open(weights, "{% for m in messages %}{{ m.content | tojson }}\n{% endfor %}")
    assert tokenizer.detokenize(tokenizer.tokenize_chat(user("é<"))) == '"é<"\n'
