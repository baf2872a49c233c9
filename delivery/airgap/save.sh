#!/usr/bin/env bash
# With a network: saves the images of images.txt, or the given images, as archives in images/.
#
#   ./save.sh docker://registry.example/project/            # from a registry
#   ./save.sh containers-storage:localhost/                 # built here with podman or buildah
#   ./save.sh docker-daemon: anamnesis-operator:0.1.0       # built here with docker; only this image
#
# Needs skopeo. It rewrites the checksums, so sign afterwards (SIGNING.md).
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,8s/^# \?//p' "$0" >&2; exit 2; }
source=$1
shift
cd "$(dirname "$0")"
[ $# -gt 0 ] || mapfile -t all <images.txt
mkdir -p images
for image in "${@:-${all[@]}}"; do
    grep -qxF "$image" images.txt || { echo "$image: not in images.txt" >&2; exit 1; }
    file=images/$(tr '/:' '__' <<<"$image").tar
    rm -f "$file"
    skopeo copy "$source$image" "docker-archive:$file:$image" >&2
done
find . -type f ! -name 'SHA256SUMS*' | LC_ALL=C sort | xargs -d '\n' sha256sum >SHA256SUMS
