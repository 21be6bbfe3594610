#!/usr/bin/env bash
# Starts an installed Tiller: its version, a reply of the demo model, and the window, closed by Ctrl+Q.
set -euo pipefail
tiller --version
tiller generate --model demo --user "Hello." --max-tokens 12 --temperature 0 --workspace /tmp/tiller-check

display=:97
Xvfb "$display" -screen 0 1280x800x24 -nolisten tcp > /dev/null 2>&1 &
server=$!
trap 'kill "$server"; wait "$server" 2> /dev/null || true; rm -rf /tmp/tiller-check' EXIT
export DISPLAY=$display
sleep 2
tiller --workspace /tmp/tiller-check &
program=$!
window=
for _ in $(seq 60); do
  window=$(xdotool search --onlyvisible --name '^Tiller$' 2> /dev/null | head -1) && [ -n "$window" ] && break
  kill -0 "$program" 2> /dev/null || { wait "$program"; echo "the window ended by itself"; exit 1; }
  sleep 0.5
done
[ -n "$window" ] || { echo "no window after 30 seconds"; kill "$program"; exit 1; }
sleep 2
# Without a window manager the keyboard goes where it is told.
xdotool windowfocus "$window"
sleep 0.5
xdotool key ctrl+q
for _ in $(seq 20); do
  kill -0 "$program" 2> /dev/null || { wait "$program"; echo "The window opened, and closed by Ctrl+Q"; exit 0; }
  sleep 0.5
done
echo "Ctrl+Q did not close the window"
kill "$program"
exit 1
