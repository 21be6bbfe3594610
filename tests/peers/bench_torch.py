#!/usr/bin/env python3
"""The PyTorch + transformers side of `tiller bench`: same shapes, same token sequences, plain idiomatic code.

Prints one JSON document: {"device", "figures": [{"name", "value", "unit", "detail"}]}, with the names of
`tiller bench --json` plus the number format. README.md defines the three measurements.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoModelForCausalLM, DynamicCache, LlamaConfig, Qwen2Config  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
N_PARENTS, N_CANDIDATES, N_TOKENS = 8, 256, 24
N_DECODED = {"demo": 200, "qwen2.5-0.5b": 32}
REPEATS = {"demo": 9, "qwen2.5-0.5b": 3}
LAMBDA = 0.5


def config_of(suite: str):
    if suite == "demo":
        return LlamaConfig.from_pretrained(ROOT / "assets" / "demo" / "model")
    return Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, max_position_embeddings=32768, rms_norm_eps=1e-6, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
    )


def parents(vocab: int) -> torch.Tensor:
    """[8, 24] token ids, the same as in `tiller bench`."""
    rows = [[(p * 1009 + j * 7919 + 17) % vocab for j in range(N_TOKENS)] for p in range(N_PARENTS)]
    return torch.tensor(rows)


def candidates(vocab: int) -> torch.Tensor:
    """[256, 24]: candidate c is parent c % 8 with the token at (c / 8) * 24 / 32 replaced."""
    rows = parents(vocab)[torch.arange(N_CANDIDATES) % N_PARENTS].clone()
    for c in range(N_CANDIDATES):
        at = (c // N_PARENTS) * N_TOKENS // (N_CANDIDATES // N_PARENTS)
        rows[c, at] = (rows[c, at] + 1 + c) % vocab
    return rows


@torch.inference_mode()
def score_candidates(model, ids: torch.Tensor, batch: int) -> torch.Tensor:
    """Mean cross-entropy of every candidate, [256]: a batched forward to logits."""
    found = []
    for rows in ids.split(batch):
        logits = model(input_ids=rows, use_cache=False).logits[:, :-1].float()
        losses = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none")
        found.append(losses.view(len(rows), -1).mean(dim=1))
    return torch.cat(found)


def gradient_step(model, ids: torch.Tensor, direction: torch.Tensor, block: int) -> torch.Tensor:
    """d(-projection at `block` + LAMBDA * cross-entropy) / d one-hot, [8, 24, vocab]."""
    table = model.get_input_embeddings().weight
    one_hot = F.one_hot(ids, table.shape[0]).to(table.dtype).requires_grad_(True)
    kept = []
    hook = model.model.layers[block].register_forward_hook(
        lambda _module, _inputs, output: kept.append(output[0] if isinstance(output, tuple) else output)
    )
    logits = model(inputs_embeds=one_hot @ table, use_cache=False).logits
    hook.remove()
    target = kept[0][:, -1] @ direction
    log_probs = torch.log_softmax(logits[:, :-1].float(), dim=-1)
    xent = -(one_hot[:, 1:].float() * log_probs).sum(dim=(1, 2)) / (ids.shape[1] - 1)
    (gradient,) = torch.autograd.grad((-target.float() + LAMBDA * xent).sum(), one_hot)
    return gradient


@torch.inference_mode()
def decode(model, prompt: torch.Tensor, n_tokens: int) -> None:
    """Greedy tokens one by one through the KV cache."""
    cache, step = DynamicCache(config=model.config), prompt
    for _ in range(n_tokens):
        logits = model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        step = logits[:, -1].argmax(dim=-1, keepdim=True)


def median_secs(work, repeats: int) -> tuple[float, float, float]:
    """Median wall time, smallest wall time and median process time of `work`, after one warm-up."""
    work()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), min(walls), statistics.median(cpus)


def measure(suite: str, dtype: str, batch: int) -> list[dict]:
    torch.manual_seed(0)
    config = config_of(suite)
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval().requires_grad_(False)
    vocab, block = config.vocab_size, config.num_hidden_layers // 2
    ids, direction = candidates(vocab), torch.randn(config.hidden_size).to(model.dtype)
    prompt, n_decoded = parents(vocab)[:1], N_DECODED[suite]
    name = "f32" if dtype == "float32" else "bf16"
    figures = []

    def add(what: str, unit: str, work, per_sec: int = 0):
        median, least, cpu = median_secs(work, REPEATS[suite])
        figures.append({
            "name": f"{suite}.{what}.{name}",
            "value": per_sec / median if per_sec else median,
            "unit": unit,
            "detail": f"median of {REPEATS[suite]}: {median:.4f} s, least {least:.4f} s, processor {cpu:.4f} s",
        })

    add("candidates", "s", lambda: score_candidates(model, ids, batch))
    add("gradient", "s", lambda: gradient_step(model, parents(vocab), direction, block))
    add("generate", "tokens/s", lambda: decode(model, prompt, n_decoded), per_sec=n_decoded)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", choices=["all", "demo", "qwen2.5-0.5b"], default="all")
    parser.add_argument("--dtype", choices=["all", "float32", "bfloat16"], default="all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64, help="candidates in one forward")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    suites = ["demo", "qwen2.5-0.5b"] if args.suite == "all" else [args.suite]
    dtypes = ["float32", "bfloat16"] if args.dtype == "all" else [args.dtype]
    figures = [figure for suite in suites for dtype in dtypes for figure in measure(suite, dtype, args.batch)]
    device = f"CPU ({args.threads} threads), PyTorch {torch.__version__}, transformers {transformers.__version__}"
    print(json.dumps({"device": device, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
