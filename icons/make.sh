#!/usr/bin/env bash
# Makes every bundle icon from the one source picture: icons/make.sh (needs Node.js for the Tauri command line).
set -euo pipefail
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
npx --yes @tauri-apps/cli@2.12.5 icon source.svg --output "$out"
cp "$out"/{32x32.png,128x128.png,128x128@2x.png,icon.png,icon.icns,icon.ico} .
