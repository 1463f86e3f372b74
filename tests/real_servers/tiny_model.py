"""Writes a language model of a few kilobytes that llama.cpp loads: random weights, ASCII answers.

python tiny_model.py FILE.gguf
"""

import sys

import gguf
import numpy as np

WIDTH, HEADS, INNER, CONTEXT = 32, 2, 64, 2048
TEMPLATE = "{% for one in messages %}{{ one.role }}: {{ one.content }}\n{% endfor %}assistant:"
_LETTERS = [chr(code) for code in range(33, 127)] + ["\u2581"]
_SPECIAL = ["<unk>", "<s>", "</s>"]
_BYTES = [f"<0x{code:02X}>" for code in range(256)]
_NEVER = -100.0


def main(path: str) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_vocabulary(writer)
    for name, values in _weights().items():
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    types = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list(_SPECIAL + _BYTES + _LETTERS)
    writer.add_token_scores([0.0] * (len(_SPECIAL) + len(_BYTES)) + [-1.0] * len(_LETTERS))
    writer.add_token_types(
        [types.UNKNOWN, types.CONTROL, types.CONTROL]
        + [types.BYTE] * len(_BYTES)
        + [types.NORMAL] * len(_LETTERS)
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)


def _weights() -> dict[str, np.ndarray]:
    """Random, but for the first column: it is the same everywhere, and keeps to letters."""
    random = np.random.default_rng(7)
    words = len(_SPECIAL) + len(_BYTES) + len(_LETTERS)

    def some(*shape: int) -> np.ndarray:
        return random.normal(0.0, 0.5, shape)

    embedding, output = some(words, WIDTH), some(words, WIDTH)
    embedding[:, 0] = 4.0
    output[:, 0] = 0.0
    output[: len(_SPECIAL) + len(_BYTES), 0] = _NEVER
    square = {f"blk.0.attn_{one}.weight": some(WIDTH, WIDTH) for one in ("q", "k", "v", "output")}
    square["blk.0.attn_output.weight"][0] = 0.0  # leaves the first column as it is
    down = some(WIDTH, INNER)
    down[0] = 0.0
    return {
        "token_embd.weight": embedding,
        "output.weight": output,
        "output_norm.weight": np.ones(WIDTH),
        "blk.0.attn_norm.weight": np.ones(WIDTH),
        "blk.0.ffn_norm.weight": np.ones(WIDTH),
        "blk.0.ffn_gate.weight": some(INNER, WIDTH),
        "blk.0.ffn_up.weight": some(INNER, WIDTH),
        "blk.0.ffn_down.weight": down,
        **square,
    }


if __name__ == "__main__":
    main(sys.argv[1])
