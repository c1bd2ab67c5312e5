#!/bin/sh
# Lays out the root folder of an image that is made from nothing: the program, the shared libraries
# that it needs, and the certificates that it trusts, all from this machine.
#
#   packaging/docker/rootfs.sh PROGRAM FOLDER
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 PROGRAM FOLDER" >&2
    exit 2
fi
program=$1
root=$2
if [ -e "$root" ]; then
    echo "$root is there already; remove it, or name another folder" >&2
    exit 1
fi

mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$root/etc/greenroom" "$root/data" "$root/tmp"
chmod 1777 "$root/tmp"
cp "$program" "$root/usr/bin/greenroom"
chmod 755 "$root/usr/bin/greenroom"
# The loader itself stands alone on its line, the libraries behind an arrow.
ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\) (.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
certificates=/etc/ssl/certs/ca-certificates.crt
if [ -e "$certificates" ]; then
    cp -L "$certificates" "$root$certificates"
else
    echo "there is no $certificates: the image will trust no HTTPS server" >&2
fi
