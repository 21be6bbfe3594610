#!/usr/bin/env bash
# Starts an installed Tiller: its version, a reply of the demo model, and the window, closed by Ctrl+Q.
set -euo pipefail
tiller --version
tiller generate --model demo --user "Hello." --max-tokens 12 --temperature 0 --workspace /tmp/tiller-check

work=$(mktemp -d)
server=
program=
trap 'kill $program $server 2> /dev/null || true; wait || true; rm -rf "$work" /tmp/tiller-check' EXIT
# The server picks a free number itself and writes it once it answers; a slow machine may take a while to get there.
Xvfb -displayfd 3 -screen 0 1280x800x24 -nolisten tcp 3> "$work/display" > "$work/log" 2>&1 &
server=$!
for _ in $(seq 120); do
  [ -s "$work/display" ] && break
  kill -0 "$server" 2> /dev/null || break
  sleep 0.5
done
[ -s "$work/display" ] || { cat "$work/log"; echo "no display after 60 seconds"; exit 1; }
export DISPLAY=:$(cat "$work/display")
tiller --workspace /tmp/tiller-check &
program=$!
window=
for _ in $(seq 120); do
  window=$(xdotool search --onlyvisible --name '^Tiller$' 2> /dev/null | head -1) && [ -n "$window" ] && break
  kill -0 "$program" 2> /dev/null || { wait "$program"; echo "the window ended by itself"; exit 1; }
  sleep 0.5
done
[ -n "$window" ] || { echo "no window after 60 seconds"; exit 1; }
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
exit 1
