#!/usr/bin/env bash
# Without a network: verifies the bundle, pushes all images of images/ to your registry, prints values for the chart.
#
#   ./push.sh registry.hospital.example/anamnesis >values.yaml
#
# Needs skopeo; log in first (`skopeo login`). The values contain the digest of each pushed image.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,6s/^# \?//p' "$0" >&2; exit 2; }
registry=${1%/}
cd "$(dirname "$0")"
sha256sum --check --quiet SHA256SUMS >&2
digest=$(mktemp)
trap 'rm -f "$digest"' EXIT

values="registry: $registry
requireDigests: true
images:"
pushed=0
while read -r image; do
    file=images/$(tr '/:' '__' <<<"$image").tar
    if [ ! -e "$file" ]; then
        echo "$image: not in images/, not pushed" >&2
        continue
    fi
    first=${image%%/*}
    name=$image
    # Your registry replaces the first part when it looks like a host.
    if [ "$first" != "$image" ] && [[ $first == *[.:]* || $first == localhost ]]; then name=${image#*/}; fi
    skopeo copy --digestfile "$digest" "docker-archive:$file" "docker://$registry/$name" >&2
    case $name in
        *anamnesis-operator:*) key=operator ;;
        *anamnesis-training:*) key=training ;;
        *) key=objectStore ;;
    esac
    values+="
  $key:
    registry: \"\"
    repository: ${name%:*}
    tag: ${name##*:}
    digest: $(<"$digest")"
    pushed=$((pushed + 1))
done <images.txt
[ "$pushed" -gt 0 ] || { echo "images/ has no archive of an image in images.txt; run save.sh first" >&2; exit 1; }
echo "$values"
