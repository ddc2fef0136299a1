#!/usr/bin/env bash
# Builds promql, with which tests read the operator's metrics as Prometheus does, once, and prints its path.
#
# It is kept by the pinned module versions and the source, so that two checkouts share one build.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${MARIE_CONTROLPLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/marie-operator/controlplane}
key=$(cat "$here"/{go.mod,go.sum,main.go} "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16)
target=$cache/promql-$key

if [ ! -x "$target" ]; then
	command -v go >/dev/null || {
		printf '%s\n' "error: Go is not installed; it builds what evaluates alerts and dashboards in tests." >&2
		printf '%s\n' "       Install Go $(awk '$1 == "go" { print $2 }' "$here/go.mod") or newer (https://go.dev/dl)." >&2
		exit 1
	}
	mkdir -p "$cache"
	exec 9>"$target.lock"
	flock 9
	[ -x "$target" ] || (cd "$here" && GOTOOLCHAIN=local CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" \
		-o "$target.partial" . && mv "$target.partial" "$target")
fi
printf '%s\n' "$target"
