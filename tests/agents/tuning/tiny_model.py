"""A llama of random weights that trains and serves in milliseconds, with grouped-query attention."""

from pathlib import Path

import numpy as np

VOCABULARY, WIDTH, HEADS, KV_HEADS, BLOCKS, INNER, CONTEXT = 96, 128, 4, 2, 2, 192, 256


def write(path: Path, seed: int = 0, blocks: int = BLOCKS, width: int = WIDTH) -> Path:
    import gguf

    draw = np.random.default_rng(seed)
    kv = width * KV_HEADS // HEADS
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(blocks)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([b"<unk>", b"<s>", b"</s>", *(f"t{i}".encode() for i in range(3, VOCABULARY))])
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([2, 3, 3, *([1] * (VOCABULARY - 3))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def put(name: str, *shape: int) -> None:
        values = draw.standard_normal(shape) / np.sqrt(shape[-1])
        writer.add_tensor(name, values.astype(np.float32))

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(width, dtype=np.float32))

    put("token_embd.weight", VOCABULARY, width)
    put("output.weight", VOCABULARY, width)
    ones("output_norm.weight")
    for block in range(blocks):
        start = f"blk.{block}."
        for name in ("attn_norm", "ffn_norm"):
            ones(f"{start}{name}.weight")
        for name, rows, columns in (
            ("attn_q", width, width),
            ("attn_k", kv, width),
            ("attn_v", kv, width),
            ("attn_output", width, width),
            ("ffn_gate", INNER, width),
            ("ffn_up", INNER, width),
            ("ffn_down", width, INNER),
        ):
            put(f"{start}{name}.weight", rows, columns)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
