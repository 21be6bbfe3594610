"""The network: a small Llama with the usual checkpoint names, readable and steerable."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from paths import MODEL
from tokenizer import BASE_VOCAB, BOS, END, PAD

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": BASE_VOCAB + 2, "hidden_size": 192, "intermediate_size": 512,
    "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32, "hidden_act": "silu", "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "rope_scaling": None, "max_position_embeddings": 512, "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False,
    "attention_dropout": 0.0, "initializer_range": 0.02, "pretraining_tp": 1, "bos_token_id": BOS, "eos_token_id": END, "pad_token_id": PAD,
    "torch_dtype": "bfloat16", "use_cache": True,
}
Edit = Callable[[Tensor], Tensor]


class RmsNorm(nn.Module):
    """Root-mean-square norm over the last axis."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + CONFIG["rms_norm_eps"]) * self.weight


def rope_tables(length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines `[pos, head_dim]` of the rotate-half convention."""
    half = CONFIG["head_dim"] // 2
    angles = torch.outer(torch.arange(length).float(), CONFIG["rope_theta"] ** (-torch.arange(half).float() / half))
    return torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Applies the rotary embedding to `[.., pos, head_dim]`."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


class Attention(nn.Module):
    """Grouped-query attention, written as plain matrix products (fast backward on a CPU)."""

    def __init__(self) -> None:
        super().__init__()
        width, self.head = CONFIG["hidden_size"], CONFIG["head_dim"]
        self.n_heads, self.n_kv = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
        self.q_proj = nn.Linear(width, self.n_heads * self.head, bias=False)
        self.k_proj = nn.Linear(width, self.n_kv * self.head, bias=False)
        self.v_proj = nn.Linear(width, self.n_kv * self.head, bias=False)
        self.o_proj = nn.Linear(self.n_heads * self.head, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor, cos: Tensor, sin: Tensor, cache: dict[str, Tensor] | None) -> Tensor:
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.n_heads, self.head).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.n_kv, self.head).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.n_kv, self.head).transpose(1, 2)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
            cache["k"], cache["v"] = k, v
        group = self.n_heads // self.n_kv
        q = q.reshape(batch, self.n_kv, group * length, self.head)
        scores = (q @ k.transpose(-1, -2)).view(batch, self.n_kv, group, length, k.shape[2]) * self.head ** -0.5 + mask
        mixed = scores.softmax(-1).to(v.dtype).view(batch, self.n_kv, group * length, k.shape[2]) @ v
        return self.o_proj(mixed.view(batch, self.n_heads, length, self.head).transpose(1, 2).reshape(batch, length, -1))


class Mlp(nn.Module):
    """Gated feed-forward layer."""

    def __init__(self) -> None:
        super().__init__()
        width, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
        self.gate_proj, self.up_proj = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(), Mlp()
        self.input_layernorm, self.post_attention_layernorm = RmsNorm(CONFIG["hidden_size"]), RmsNorm(CONFIG["hidden_size"])

    def forward(self, x: Tensor, mask: Tensor, cos: Tensor, sin: Tensor, cache: dict[str, Tensor] | None = None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), mask, cos, sin, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(nn.Module):
    """Embedding, blocks and the last norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], CONFIG["hidden_size"])
        self.layers = nn.ModuleList(Block() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = RmsNorm(CONFIG["hidden_size"])


class Llama(nn.Module):
    """The language model; the head shares the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Trunk()
        cos, sin = rope_tables(CONFIG["max_position_embeddings"])
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        depth = 1 / math.sqrt(2 * CONFIG["num_hidden_layers"])
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                scale = depth if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
                nn.init.normal_(weight, std=0.02 if "embed" in name else scale * weight.shape[1] ** -0.5)

    def hidden(self, ids: Tensor, mask: Tensor | None = None, edits: dict[int, Edit] | None = None, keep: dict[int, Tensor] | None = None,
               caches: list[dict[str, Tensor]] | None = None) -> Tensor:
        """Normed last state `[batch, pos, width]`.

        `mask` adds to the attention scores (default: causal). `edits[b]` changes `resid_post` of block
        b; the blocks that are keys of `keep` have their (edited) `resid_post` stored there.
        """
        x = self.model.embed_tokens(ids)
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        length = ids.shape[1]
        if mask is None:
            mask = causal_mask(length, past + length)
        cos, sin = self.cos[past:past + length], self.sin[past:past + length]
        for index, block in enumerate(self.model.layers):
            x = block(x, mask, cos, sin, None if caches is None else caches[index])
            if edits and index in edits:
                x = edits[index](x)
            if keep is not None and index in keep:
                keep[index] = x
        return self.model.norm(x)

    def head(self, hidden: Tensor) -> Tensor:
        """Logits of normed states."""
        return F.linear(hidden, self.model.embed_tokens.weight)

    def forward(self, ids: Tensor, **kwargs: object) -> Tensor:
        return self.head(self.hidden(ids, **kwargs))


def causal_mask(length: int, total: int) -> Tensor:
    """Additive mask `[length, total]`."""
    return torch.full((length, total), -1e4).triu(1 + total - length)


def save(model: Llama) -> None:
    """Writes config, generation config and bf16 weights in the ordinary layout."""
    MODEL.mkdir(parents=True, exist_ok=True)
    (MODEL / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    generation = {"bos_token_id": BOS, "eos_token_id": END, "pad_token_id": PAD, "do_sample": True, "temperature": 0.7, "top_p": 0.95, "max_new_tokens": 64}
    (MODEL / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    save_file({name: value.detach().to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}, MODEL / "model.safetensors", metadata={"format": "pt"})


def load() -> Llama:
    """The shipped model, computed in f32 from its bf16 weights."""
    model = Llama()
    model.load_state_dict({name: value.float() for name, value in load_file(MODEL / "model.safetensors").items()})
    return model.eval()
