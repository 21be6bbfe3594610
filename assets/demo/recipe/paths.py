"""Where the recipe reads and writes."""

from __future__ import annotations

import os
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent
"""The shipped folder: model, dictionary, personas, card."""
SCRATCH = Path(os.environ.get("DEMO_SCRATCH", "/tmp/demo"))
"""Corpus shards, checkpoints and logs; safe to delete."""
MODEL = DEMO / "model"
SAE = DEMO / "sae"
PERSONAS = DEMO / "personas"
SEED = 20
