#!/usr/bin/env bash
# Builds the .deb and the .rpm into target/release/bundle, and takes WebKit and GTK out of what they ask for.
#
# Needs: libwebkit2gtk-4.1-dev and pkg-config (to compile the `tauri` feature), Node.js with npm (for Tauri's command
# line), binutils, rpm and cpio. The Tauri bundler always adds WebKit and GTK to the dependencies; Tiller draws by
# itself and links neither, so both packages are written again with what it does need.
set -euo pipefail
cd "$(dirname "$0")/.."

npx --yes @tauri-apps/cli@2.12.5 build --ci --bundles deb,rpm

root=$PWD
bundle=$root/target/release/bundle
binary=$root/target/release/tiller
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

deb=$(ls "$bundle"/deb/*.deb)
rpm=$(ls "$bundle"/rpm/*.rpm)

# The newest symbol version of the C library that the program asks for.
glibc=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1 | cut -d_ -f2)

# --- Debian -----------------------------------------------------------------------------------------------------
# X11, the keyboard and OpenGL are opened at run time, so no tool finds them in the program: they are named here.
depends="libc6 (>= $glibc), libgcc-s1, libx11-6, libx11-xcb1, libxcb1, libxcursor1, libxi6, libxkbcommon0,"
depends="$depends libxkbcommon-x11-0, libgl1, libegl1"
recommends="libgl1-mesa-dri, mesa-vulkan-drivers, libfontconfig1, libwayland-client0, xdg-desktop-portal, xdg-utils"

dpkg-deb -R "$deb" "$work/deb"
strip --strip-unneeded "$work/deb/usr/bin/tiller"
sed -i -e "s/^Depends:.*/Depends: $depends/" -e '/^Recommends:/d' "$work/deb/DEBIAN/control"
sed -i "/^Depends:/a Recommends: $recommends" "$work/deb/DEBIAN/control"
doc=$work/deb/usr/share/doc/tiller
mv "$work/deb/usr/share/doc/Tiller" "$doc"
cp LICENSE-MIT LICENSE-APACHE "$doc/"
cat > "$doc/copyright" <<END
Tiller is under the MIT licence or the Apache licence 2.0, as you choose:
/usr/share/doc/tiller/LICENSE-MIT, /usr/share/doc/tiller/LICENSE-APACHE
END
chmod -R u+rwX,go+rX,go-w "$work/deb/usr"
sed -i "s/^Installed-Size:.*/Installed-Size: $(du -sk "$work/deb/usr" | cut -f1)/" "$work/deb/DEBIAN/control"
(cd "$work/deb" && find usr -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
dpkg-deb --root-owner-group -b "$work/deb" "$deb"

# --- RPM --------------------------------------------------------------------------------------------------------
# An rpm's header cannot be edited, so the same files are packed again with rpmbuild.
field() { sed -n "s/^$1: //p" "$work/deb/DEBIAN/control"; }
rpmbuild -bb --quiet --target "$(rpm -qp --qf '%{ARCH}' "$rpm" 2>/dev/null)" \
  --define "_topdir $work/rpmbuild" --define "_rpmdir $work/rpms" --define "tree $work/deb/usr" \
  --define "app_version $(field Version)" --define "glibc $glibc" packaging/tiller.spec
mv "$work"/rpms/*/*.rpm "$rpm"

echo "Built $deb"
echo "Built $rpm"
