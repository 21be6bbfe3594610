"""Trains a small SAE of each kind with Tiller and reads it with SAELens: the same latents pass, with the same values.

    pip install torch sae-lens==6.54.12
    python tests/peers/sae_lens_reads.py --tiller target/release/tiller

Activations that differ by more than 1e-4 of the largest end it with an error. Tiller browses SAEs in f16, whose rounding
alone can exceed that: 8e-5 was seen for topk, 2.3e-4 for batchtopk. The engine's golden tests hold 1e-4 in f32.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from sae_lens import SAE

KINDS = ["topk", "batchtopk", "jumprelu"]
TEXT = "<|bos|><|system|>You talk like a pirate.<|end|><|user|>What is 2 + 3?<|end|><|assistant|>Arr, 2 + 3 be 5, matey!<|end|>"
TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiller", default="target/release/tiller")
    parser.add_argument("--tokens", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        common = [arguments.tiller, "--offline", "--workspace", f"{folder}/workspace", "--device", "cpu", "--json"]

        def tiller(*words: object) -> dict:
            return json.loads(subprocess.run([*common, *map(str, words)], check=True, stdout=subprocess.PIPE).stdout)

        tiller("trace", "--model", "demo", "--text", TEXT, "--out", f"{folder}/trace.safetensors")
        resid = load_file(f"{folder}/trace.safetensors")["resid_post.4"].float()
        for kind in KINDS:
            out = Path(folder) / kind
            trained = tiller("sae", "train", "--model", "demo", "--block", 4, "--out", out, "--architecture", kind, "--latents", 512, "--k", 12, "--tokens", arguments.tokens)
            ours = tiller("sae", "encode", "--sae", out, "--model", "demo", "--text", TEXT, "--top", 512)["tokens"]
            sae = SAE.load_from_disk(out)
            with torch.no_grad():
                theirs = sae.encode(resid)
                rebuilt = sae.decode(theirs)
            found = torch.zeros_like(theirs)
            for row, token in zip(found[1:], ours[1:]):
                for active in token["active"]:
                    row[active["latent"]] = active["activation"]
            theirs, scale = theirs[1:], theirs[1:].max()
            far = ((theirs - found[1:]).abs().max() / scale).item()
            fvu = ((resid - rebuilt)[1:].pow(2).sum() / (resid - resid[1:].mean(0))[1:].pow(2).sum()).item()
            print(f"{kind}: {type(sae).__name__}, largest difference {far:.1e} of the largest activation, L0 {(theirs > 0).sum(1).float().mean():.1f}; "
                  f"FVU {fvu:.3f} here, {trained['last']['fvu']:.3f} at the end of training")
            if far > TOLERANCE:
                raise SystemExit(f"{kind}: Tiller and SAELens disagree")


if __name__ == "__main__":
    main()
