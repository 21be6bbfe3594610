"""Trains the byte-level BPE tokenizer on the corpus and writes its files.

The answer letters `(A)` and `(B)` are added, non-special tokens, so an A/B
verdict is the first token of the reply.
"""

from __future__ import annotations

import json
import re
from random import Random

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from generator import CHAT_TEMPLATE, conversation, render
from paths import MODEL, SEED

SPECIAL = ["<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
PAD, BOS, END, SYSTEM, USER, ASSISTANT = range(6)
BASE_VOCAB = 2560
LETTERS = ["(A)", "(B)"]
LETTER_IDS = [BASE_VOCAB, BASE_VOCAB + 1]


def train(n_conversations: int = 40_000) -> Tokenizer:
    """Trains on conversations without their special tokens and saves to the model folder."""
    rng = Random(SEED + 7)
    texts = (re.split(r"<\|\w+\|>", render(*conversation(rng))) for _ in range(n_conversations))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=BASE_VOCAB, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator((part for parts in texts for part in parts if part), trainer)
    tokenizer.add_tokens([AddedToken(letter, normalized=False) for letter in LETTERS])
    if [tokenizer.token_to_id(letter) for letter in LETTERS] != LETTER_IDS or [tokenizer.token_to_id(s) for s in SPECIAL] != list(range(6)):
        raise RuntimeError("token ids are not where the recipe expects them")
    MODEL.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(MODEL / "tokenizer.json"))
    write_config()
    return tokenizer


def write_config() -> None:
    """Writes tokenizer_config.json with the chat template."""
    added = {str(i): {"content": s, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True} for i, s in enumerate(SPECIAL)}
    added |= {str(i): {"content": s, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": False} for i, s in zip(LETTER_IDS, LETTERS)}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "bos_token": "<|bos|>", "eos_token": "<|end|>", "pad_token": "<|pad|>",
        "add_bos_token": False, "add_eos_token": False, "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE, "added_tokens_decoder": added,
    }
    (MODEL / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load() -> Tokenizer:
    """The tokenizer of the shipped model."""
    return Tokenizer.from_file(str(MODEL / "tokenizer.json"))


if __name__ == "__main__":
    print("vocabulary", train().get_vocab_size())
