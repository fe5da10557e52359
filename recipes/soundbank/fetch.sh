#!/bin/sh
# Fetch the packages that recordings.csv names and unpack each into a folder of its name: no install, no root.
# Usage: recipes/soundbank/fetch.sh [FOLDER]     (default: soundbank)
# Run again it goes on where it ended. Needs Debian or Ubuntu (apt-get, dpkg-deb) with a fresh package list:
# `apt-get update` first. `diffusion-link corpus` also needs the program fluidsynth for the soundfonts.
# Licences differ from package to package: see FOLDER/PACKAGE/usr/share/doc/PACKAGE/copyright.
set -eu

table=$(cd "$(dirname "$0")" && pwd)/recordings.csv
folder=${1:-soundbank}
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || { echo "fetch.sh: $program is needed" >&2; exit 1; }
done

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
download=$folder/.download
failed=
for package in $(tail -n +2 "$table" | cut -d, -f3 | sort -u | grep -vx synth); do
    if [ -d "$folder/$package" ]; then
        echo "$package: already there"
        continue
    fi
    # Unpacked elsewhere and renamed: a folder of the package's name is always whole.
    rm -rf "$download/$package"
    mkdir -p "$download/$package/archive"
    echo "$package: fetching"
    if (cd "$download/$package/archive" && apt-get -q download "$package") &&
        dpkg-deb -x "$download/$package"/archive/*.deb "$download/$package/content"; then
        mv "$download/$package/content" "$folder/$package"
    else
        failed="$failed $package"
    fi
    rm -rf "$download/$package"
done

if [ -n "$failed" ]; then
    echo "fetch.sh: not fetched:$failed (try apt-get update, then again)" >&2
    exit 1
fi
command -v fluidsynth >/dev/null || echo "fetch.sh: install fluidsynth before making the corpus (apt-get install fluidsynth)" >&2
