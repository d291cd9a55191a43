"""GPT-2 in a hundred lines: what is trained, and what the card is measured on.

Parameter names and layouts are Hugging Face's, so ``state_dict()`` is the file. Every
intermediate value passes through ``tap(name, value)``, which may keep it or put
another in its place; training reads attention there, measuring patches there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from patchwidget.demo.tokenizer import save_tokenizer

Tap = Callable[[str, Tensor], Tensor]
"""Called with ``"layer.site"``; sites: q k v scores pattern z attn_out mlp_out
resid_post."""

POSITION_STD = 0.3
LOGIT_STD = 0.02


@dataclass(frozen=True)
class Shape:
    """The sizes of a model."""

    vocabulary: int
    context: int = 64
    layers: int = 5
    heads: int = 8
    width: int = 128


class Projection(nn.Module):
    """A linear map stored as [in, out], as GPT-2 has it."""

    def __init__(self, width_in: int, width_out: int, gain: float = 1.0) -> None:
        super().__init__()
        std = gain / math.sqrt(width_in)
        self.weight = nn.Parameter(torch.randn(width_in, width_out) * std)
        self.bias = nn.Parameter(torch.zeros(width_out))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to the last axis."""
        return x @ self.weight + self.bias


class Attention(nn.Module):
    """Causal self-attention with learned biases."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        width = shape.width
        self.c_attn = Projection(width, 3 * width)
        self.c_proj = Projection(width, width, 1 / math.sqrt(2 * shape.layers))

    def forward(self, x: Tensor, tap: Tap, dropout: float) -> Tensor:
        """What the layer adds to the residual stream, ``[B, T, width]``."""
        q, k, v = (
            tap(name, part.unflatten(-1, (self.heads, -1)))
            for name, part in zip("qkv", self.c_attn(x).chunk(3, -1), strict=True)
        )
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
        scores = tap("scores", scores)
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        pattern = scores.masked_fill(future, -torch.inf).softmax(-1)
        pattern = F.dropout(tap("pattern", pattern), dropout, self.training)
        z = tap("z", torch.einsum("bhqk,bkhd->bqhd", pattern, v))
        out: Tensor = self.c_proj(z.flatten(-2))
        return out


class Mlp(nn.Module):
    """Two maps with GPT-2's GELU between them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.c_fc = Projection(width, 4 * width)
        self.c_proj = Projection(4 * width, width, 1 / math.sqrt(2 * shape.layers))

    def forward(self, x: Tensor, dropout: float) -> Tensor:
        """What the layer adds to the residual stream, ``[B, T, width]``."""
        hidden = F.gelu(self.c_fc(x), approximate="tanh")
        return F.dropout(self.c_proj(hidden), dropout, self.training)


class Block(nn.Module):
    """Attention, then MLP, each behind a LayerNorm and added to the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(shape.width)
        self.attn = Attention(shape)
        self.ln_2 = nn.LayerNorm(shape.width)
        self.mlp = Mlp(shape)

    def forward(self, x: Tensor, tap: Tap, dropout: float) -> Tensor:
        """The residual stream after this block."""
        x = x + tap("attn_out", self.attn(self.ln_1(x), tap, dropout))
        x = x + tap("mlp_out", self.mlp(self.ln_2(x), dropout))
        return tap("resid_post", x)


class Transformer(nn.Module):
    """Everything before the unembedding, under the names that Hugging Face uses."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.wte = nn.Embedding(shape.vocabulary, shape.width)
        self.wpe = nn.Embedding(shape.context, shape.width)
        nn.init.normal_(self.wpe.weight, std=POSITION_STD)
        self.h = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.ln_f = nn.LayerNorm(shape.width)

    @property
    def blocks(self) -> list[Block]:
        """The blocks, first to last."""
        return [block for block in self.h if isinstance(block, Block)]


class Net(nn.Module):
    """The whole model; logits come from an unembedding of its own (untied).

    Unlike GPT-2's, embeddings begin with variance 1 and every map keeps variance: a
    word has to stay readable in a stream to which ten layers add.

    Args:
        shape: Sizes.
        dropout: Share of attention weights and of MLP outputs dropped in training.
    """

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape, self.dropout = shape, dropout
        self.transformer = Transformer(shape)
        self.lm_head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        nn.init.normal_(self.lm_head.weight, std=LOGIT_STD)

    def forward(self, tokens: Tensor, tap: Tap | None = None) -> Tensor:
        """Logits ``[B, T, vocabulary]`` of token ids ``[B, T]``."""
        logits: Tensor = self.lm_head(self.final(tokens, tap))
        return logits

    def final(self, tokens: Tensor, tap: Tap | None = None) -> Tensor:
        """What the unembedding reads, ``[B, T, width]``."""
        tap, body = tap or _pass, self.transformer
        x: Tensor = body.wte(tokens) + body.wpe(torch.arange(tokens.shape[-1]))
        for layer, block in enumerate(body.blocks):
            x = block(x, _prefixed(tap, layer), self.dropout)
        return body.ln_f(x)  # type: ignore[no-any-return]  # torch's modules return Any


def _pass(_name: str, value: Tensor) -> Tensor:
    return value


def _prefixed(tap: Tap, layer: int) -> Tap:
    return lambda name, value: tap(f"{layer}.{name}", value)


def load_net(folder: Path) -> Net:
    """Read a model folder; the model comes in eval mode."""
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = ("vocab_size", "n_positions", "n_layer", "n_head", "n_embd")
    net = Net(Shape(*(config[name] for name in names)))
    net.load_state_dict(load_file(folder / "model.safetensors"))
    return net.eval()


def save_net(net: Net, folder: Path, **more: object) -> None:
    """Write a model folder as Hugging Face has it: tokenizer, weights, configuration.

    Args:
        net: the model.
        folder: where; it is made if it is not there.
        **more: entries of ``config.json`` beside, or instead of, those of the shape.
    """
    from safetensors.torch import save_file

    save_tokenizer(folder)
    weights = {name: value.contiguous() for name, value in net.state_dict().items()}
    path = folder / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # the library leaves it readable to its owner alone
    text = json.dumps({**hub_config(net.shape), **more}, indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def hub_config(shape: Shape) -> dict[str, object]:
    """``config.json`` of a GPT-2 of this shape; BOS is token 0."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "vocab_size": shape.vocabulary,
        "n_positions": shape.context,
        "n_ctx": shape.context,
        "n_embd": shape.width,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "layer_norm_epsilon": 1e-5,
        # Off, so that a model somebody puts in train mode still gives these figures.
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
        "tie_word_embeddings": False,
        "dtype": "float32",
        "torch_dtype": "float32",
    }
