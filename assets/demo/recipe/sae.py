"""Trains the TopK sparse autoencoder on `resid_post` of one block and writes SAELens files."""

from __future__ import annotations

import argparse
import json
import time
from random import Random

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from generator import conversation, render
from model import CONFIG, Llama
from model import load as load_model
from paths import SAE, SCRATCH, SEED
from tokenizer import PAD
from tokenizer import load as load_tokenizer

BLOCK, D_SAE, K = 4, 1024, 16
N_TOKENS, STEPS, BATCH = 300_000, 1200, 2048
DEAD_AFTER, AUX_K, AUX_WEIGHT = 100, 64, 1 / 32


class TopK(nn.Module):
    """`x -> relu(topk((x - b_dec) W_enc + b_enc)) W_dec + b_dec`, with unit decoder rows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        directions = F.normalize(torch.randn(D_SAE, width), dim=1)
        self.W_dec, self.W_enc = nn.Parameter(directions), nn.Parameter(directions.T.clone())
        self.b_enc, self.b_dec = nn.Parameter(torch.zeros(D_SAE)), nn.Parameter(torch.zeros(width))

    def gates(self, x: Tensor) -> Tensor:
        """Activations before the choice of the K largest, `[token, d_sae]`."""
        return F.relu((x - self.b_dec) @ self.W_enc + self.b_enc)

    def encode(self, x: Tensor) -> Tensor:
        """Sparse activations `[token, d_sae]`."""
        values, indices = self.gates(x).topk(K, -1)
        return torch.zeros(*x.shape[:-1], D_SAE).scatter(-1, indices, values)

    def decode(self, z: Tensor) -> Tensor:
        return z @ self.W_dec + self.b_dec


def sequences(n: int, seed: int) -> list[list[int]]:
    """Token ids of `n` fresh conversations."""
    rng, tokenizer = Random(seed), load_tokenizer()
    return [e.ids for e in tokenizer.encode_batch([render(*conversation(rng)) for _ in range(n)], add_special_tokens=False)]


def padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Right-padded ids and the mask of real positions."""
    size = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (size - len(row)) for row in rows])
    real = torch.tensor([[i < len(row) for i in range(size)] for row in rows])
    return ids, real


def activations(model: Llama, rows: list[list[int]], block: int = BLOCK) -> list[Tensor]:
    """`resid_post` of every row, position 0 left out."""
    out: list[Tensor] = [torch.empty(0)] * len(rows)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    with torch.no_grad():
        for begin in range(0, len(order), 128):
            chunk = order[begin:begin + 128]
            ids, _ = padded([rows[i] for i in chunk])
            keep = {block: torch.empty(0)}
            model.hidden(ids, keep=keep)
            for j, i in enumerate(chunk):
                out[i] = keep[block][j, 1:len(rows[i])].clone()
    return out


def fit(x: Tensor, steps: int) -> tuple[TopK, float]:
    """Trains on tokens `[n, width]`; returns the SAE in input units and the input scale."""
    torch.manual_seed(SEED)
    scale = x.pow(2).mean().sqrt().item()
    sae = TopK(x.shape[1])
    sae.b_dec.data = x.mean(0) / scale
    optim = torch.optim.Adam(sae.parameters(), lr=1.5e-3, betas=(0.9, 0.99))
    idle = torch.zeros(D_SAE, dtype=torch.long)
    variance = (x / scale - x.mean(0) / scale).pow(2).sum(-1).mean()
    for step in range(steps):
        progress = step / steps
        for group in optim.param_groups:
            group["lr"] = 1.5e-3 * min(1.0, (step + 1) / 50) * (1.0 if progress < 0.6 else (1 - progress) / 0.4)
        batch = x[torch.randint(0, len(x), (BATCH,))] / scale
        gates = sae.gates(batch)
        values, indices = gates.topk(K, -1)
        z = torch.zeros_like(gates).scatter(-1, indices, values)
        error = batch - sae.decode(z)
        loss = error.pow(2).sum(-1).mean() / variance
        idle += 1
        idle[indices[values > 0].unique()] = 0
        dead = idle > DEAD_AFTER
        if dead.any():
            raw = (batch - sae.b_dec) @ sae.W_enc + sae.b_enc
            best, where = torch.where(dead, raw, -torch.inf).topk(min(AUX_K, int(dead.sum())), -1)
            spare = torch.zeros_like(gates).scatter(-1, where, F.relu(best))
            loss = loss + AUX_WEIGHT * (error.detach() - spare @ sae.W_dec).pow(2).sum(-1).mean() / variance
        loss.backward()
        with torch.no_grad():
            grad, rows = sae.W_dec.grad, sae.W_dec
            grad -= (grad * rows).sum(-1, keepdim=True) * rows
        optim.step()
        optim.zero_grad()
        with torch.no_grad():
            sae.W_dec /= sae.W_dec.norm(dim=1, keepdim=True)
        if (step + 1) % 200 == 0:
            print(f"sae step {step + 1}/{steps}, loss {loss.item():.4f}, dead {int(dead.sum())}", flush=True)
    with torch.no_grad():  # TopK and ReLU commute with a positive factor, so the scale folds into the biases
        sae.b_enc *= scale
        sae.b_dec *= scale
    return sae, scale


def measure(model: Llama, sae: TopK, rows: list[list[int]]) -> dict[str, float]:
    """Fraction of variance unexplained, mean L0, living features and recovered cross-entropy."""
    x = torch.cat(activations(model, rows))
    with torch.no_grad():
        z = sae.encode(x)
        fvu = ((x - sae.decode(z)).pow(2).sum() / (x - x.mean(0)).pow(2).sum()).item()
    mean = x.mean(0)

    def replaced(h: Tensor) -> Tensor:
        return torch.cat([h[:, :1], sae.decode(sae.encode(h[:, 1:]))], 1)

    def ablated(h: Tensor) -> Tensor:
        return torch.cat([h[:, :1], mean.expand_as(h[:, 1:])], 1)

    ce = [_cross_entropy(model, rows, edit) for edit in (None, replaced, ablated)]
    return {"fvu": fvu, "l0": (z > 0).sum(-1).float().mean().item(), "alive": int((z > 0).any(0).sum()), "ce": ce[0], "ce_with_sae": ce[1], "ce_ablated": ce[2],
            "ce_recovered": (ce[2] - ce[1]) / (ce[2] - ce[0])}


def _cross_entropy(model: Llama, rows: list[list[int]], edit) -> float:
    total, count = 0.0, 0
    with torch.no_grad():
        for begin in range(0, len(rows), 64):
            ids, real = padded(rows[begin:begin + 64])
            logits = model(ids, edits={BLOCK: edit} if edit else None)[:, :-1]
            ce = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
            total, count = total + ce[real[:, 1:]].sum().item(), count + int(real[:, 1:].sum())
    return total / count


def save(sae: TopK) -> None:
    """Writes `cfg.json` and `sae_weights.safetensors`."""
    SAE.mkdir(parents=True, exist_ok=True)
    hook = f"blocks.{BLOCK}.hook_resid_post"
    config = {
        "architecture": "topk", "d_in": CONFIG["hidden_size"], "d_sae": D_SAE, "k": K, "dtype": "float16", "device": "cpu", "hook_name": hook, "hook_layer": BLOCK, "model_name": "tiller-demo",
        "apply_b_dec_to_input": True, "normalize_activations": "none", "rescale_acts_by_decoder_norm": False, "reshape_activations": "none",
        "metadata": {"model_name": "tiller-demo", "hook_name": hook, "hook_head_index": None, "hf_hook_name": f"model.layers.{BLOCK}", "prepend_bos": False, "context_size": 320, "training_architecture": "topk"},
    }
    (SAE / "cfg.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file({name: value.detach().to(torch.float16).contiguous() for name, value in sae.state_dict().items()}, SAE / "sae_weights.safetensors")


def load() -> TopK:
    """The shipped SAE in f32."""
    sae = TopK(CONFIG["hidden_size"])
    sae.load_state_dict({name: value.float() for name, value in load_file(SAE / "sae_weights.safetensors").items()})
    return sae


def train(steps: int = STEPS, n_tokens: int = N_TOKENS) -> dict[str, float]:
    """Collects activations, trains, saves and measures on fresh conversations."""
    began, model = time.time(), load_model()
    x = torch.cat(activations(model, sequences(n_tokens // 60, SEED + 31)))
    sae, _ = fit(x, steps)
    save(sae)
    result = measure(model, load(), sequences(400, SEED + 32)) | {"tokens": len(x), "seconds": round(time.time() - began)}
    SCRATCH.mkdir(parents=True, exist_ok=True)
    (SCRATCH / "sae_log.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--tokens", type=int, default=N_TOKENS)
    arguments = parser.parse_args()
    train(arguments.steps, arguments.tokens)
