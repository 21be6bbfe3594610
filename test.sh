#!/usr/bin/env bash
# The one test command: installs what the tests need where it may (root and apt), otherwise names it, then runs all.
set -euo pipefail
cd "$(dirname "$0")"

# A software graphics driver for the screens, and a display with a hand on the mouse for the real window.
packages=(
  ca-certificates gcc libc6-dev pkg-config
  libegl1 libgl1 libgl1-mesa-dri mesa-vulkan-drivers
  libx11-6 libx11-xcb1 libxcb1 libxcursor1 libxi6 libxkbcommon0 libxkbcommon-x11-0
  imagemagick x11-utils xauth xdotool xvfb
)

missing=()
if command -v dpkg-query >/dev/null; then
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
else
  echo "test.sh: not a Debian system; the tests need the counterparts of: ${packages[*]}"
fi
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -y -q --no-install-recommends "${missing[@]}"
  else
    echo "test.sh: the tests that draw need packages that are missing here; as root:"
    echo "  apt-get install --no-install-recommends ${missing[*]}"
  fi
fi

exec ./check.sh
