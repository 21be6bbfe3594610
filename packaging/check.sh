#!/usr/bin/env bash
# Checks the built packages: what they hold, what they ask for, and that each installs and starts on a clean Debian 12.
#
# Needs root and debootstrap for the clean system; without them the packages are only looked into.
set -euo pipefail
cd "$(dirname "$0")/.."

bundle=target/release/bundle
deb=$(ls "$bundle"/deb/*.deb)
rpm=$(ls "$bundle"/rpm/*.rpm)
fail() { echo "check.sh: $*" >&2; exit 1; }

echo "== What the packages ask for"
deb_depends=$(dpkg-deb -f "$deb" Depends)
rpm_requires=$(rpm -qp --requires "$rpm" 2>/dev/null)
printf 'deb: %s\nrpm: %s\n' "$deb_depends" "$(tr '\n' ' ' <<< "$rpm_requires")"
if grep -Eiq 'webkit|gtk|javascriptcore|soup' <<< "$deb_depends $rpm_requires"; then fail "WebKit or GTK is among them"; fi
if objdump -p target/release/tiller | grep NEEDED | grep -Eiq 'webkit|gtk|gdk|soup'; then fail "the program links WebKit or GTK"; fi

echo "== What the packages hold"
deb_files=$(dpkg-deb --fsys-tarfile "$deb" | tar -t | sed 's|^\./||' | grep -v '/$' | sort)
rpm_files=$(rpm -qpl "$rpm" 2>/dev/null | sed 's|^/||' | sort)
for file in usr/bin/tiller usr/share/applications/Tiller.desktop usr/share/icons/hicolor/128x128/apps/tiller.png \
    usr/lib/Tiller/assets/demo/model/model.safetensors usr/lib/Tiller/assets/demo/personas/sycophancy.toml \
    usr/share/doc/tiller/LICENSE-MIT; do
  grep -Fxq "$file" <<< "$deb_files" || fail "the .deb has no $file"
  grep -Fxq "$file" <<< "$rpm_files" || fail "the .rpm has no $file"
done
echo "$(wc -l <<< "$deb_files") files; $(du -h "$deb" | cut -f1) deb, $(du -h "$rpm" | cut -f1) rpm"

if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
  echo "== Neither package was installed: that needs root and debootstrap"
  exit 0
fi

echo "== A clean Debian 12"
root=$(mktemp -d)
chmod 755 "$root"
trap 'umount "$root/proc" 2> /dev/null; rm -rf --one-file-system "$root"' EXIT
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -1)
debootstrap --variant=minbase bookworm "$root" "${mirror:-http://deb.debian.org/debian}" > "$root.log" 2>&1 ||
  { tail -20 "$root.log"; fail "no clean system could be made"; }
rm -f "$root.log"
# Tiller finds what it ships with by its own place, which the system tells in /proc.
places=()
mount -t proc proc "$root/proc" 2> /dev/null || places=(TILLER_ASSETS=/usr/lib/Tiller/assets)
cp "$deb" "$root/tmp/tiller.deb"
cp "$rpm" "$root/tmp/tiller.rpm"
cp packaging/start.sh "$root/tmp/start.sh"
inside() {
  chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
    "${places[@]}" "$@"
}

echo "== The .deb installs and starts"
inside apt-get update -q > /dev/null
inside apt-get install -y -q --no-install-recommends /tmp/tiller.deb > "$root/tmp/apt.log" 2>&1 ||
  { tail -20 "$root/tmp/apt.log"; fail "the .deb does not install"; }
if inside dpkg-query -W -f '${Package}\n' | grep -E 'webkit|libgtk|libsoup'; then fail "WebKit or GTK came with the .deb"; fi
# The display and the hand on the keyboard are the check's own.
inside apt-get install -y -q --no-install-recommends xvfb xdotool rpm > "$root/tmp/apt.log" 2>&1
inside bash /tmp/start.sh

echo "== The .rpm installs and starts"
inside apt-get remove -y -q tiller > /dev/null 2>&1
if inside test -e /usr/bin/tiller; then fail "removing the .deb leaves the program behind"; fi
# Debian's packages are unknown to rpm, so what the package asks for was looked at above.
inside rpm -i --nodeps --force-debian /tmp/tiller.rpm 2> /dev/null || inside rpm -i --nodeps /tmp/tiller.rpm
inside bash /tmp/start.sh
echo "== Both packages install and start without WebKit and GTK"
