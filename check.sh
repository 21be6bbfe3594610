#!/usr/bin/env bash
# Everything that must hold before a change lands; CI runs this too. A tool that is not installed is named and left out.
set -euo pipefail
cd "$(dirname "$0")"
step() { printf '\n== %s\n' "$*"; "$@"; }
have() { command -v "$1" >/dev/null || { printf '\n== %s is not installed: left out\n' "$1"; return 1; }; }

if have typos; then step typos; fi
step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps --locked
if have cargo-nextest; then
  step cargo nextest run --workspace --locked
else
  step cargo test --workspace --locked
fi
if have cargo-deny; then step cargo deny --all-features check licenses bans sources; fi
printf '\nAll checks passed\n'
