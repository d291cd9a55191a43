"""The bundled model's tokenizer: byte-level like GPT-2's, with a small vocabulary.

- A word the model knows is one token together with the space before it.
- Anything else falls back to its bytes, so any text encodes and comes back whole.
- Digits go two by two: ``" 1732"`` is ``" 17"`` and ``"32"``.
- ``<|endoftext|>`` is beginning, end and padding, as in GPT-2.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from patchwidget.demo.text import BOS, vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

MODEL_DIR = Path(__file__).parent / "model"
CONTEXT_TOKENS = 64

# GPT-2's rule for cutting text into words, with numbers cut two digits at a time.
WORD_RULE = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)


def build_tokenizer() -> Tokenizer:
    """Make the tokenizer from the generator's vocabulary."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    symbols = sorted(ByteLevel.alphabet())
    words = [word.replace(" ", "Ġ") for word in vocabulary()]
    tokens = dict.fromkeys([BOS, *symbols, *words])
    # ignore_merges: a known word is taken whole; with no merges the rest is bytes.
    model = models.BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=[],
        ignore_merges=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens([AddedToken(BOS, special=True, normalized=False)])
    tokenizer.pre_tokenizer = Sequence(
        [
            Split(Regex(WORD_RULE), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def save_tokenizer(folder: Path) -> None:
    """Write ``tokenizer.json`` and what Hugging Face wants beside it."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(),
        bos_token=BOS,
        eos_token=BOS,
        unk_token=BOS,
        pad_token=BOS,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
    # transformers 5 writes a class name that 4 does not know; both know this one.
    path = Path(folder) / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_tokenizer(folder: Path = MODEL_DIR) -> PreTrainedTokenizerFast:
    """The tokenizer of the bundled model (or of another training run)."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(str(folder))
