#!/usr/bin/env bash
# Builds the servers the tests and the demo run against, once, and prints the folder they are in.
#
#   hack/controlplane/build.sh            build what is missing, print the folder on stdout
#
# The folder is keyed by the pinned module versions, so a version bump builds anew and
# two checkouts share one build. KUBEBUILDER_ASSETS, when set, supplies etcd,
# kube-apiserver and kubectl (the set that setup-envtest installs); what is missing there is built.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${MARIE_CONTROLPLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/marie-operator/controlplane}
key=$(cat "$here"/*/go.mod "$here"/*/go.sum "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16)
bin=$cache/$key
kubernetes=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2 }' "$here/kubernetes/go.mod")

[ -n "$kubernetes" ] || { echo "error: $here/kubernetes/go.mod requires no k8s.io/kubernetes" >&2; exit 1; }

say() { printf '%s\n' "$*" >&2; }

if ! command -v go >/dev/null; then
	say "error: Go is not installed; it builds the Kubernetes servers for tests and the demo."
	say "       Install Go $(awk '$1 == "go" { print $2 }' "$here/kubernetes/go.mod") or newer (https://go.dev/dl), or set KUBEBUILDER_ASSETS"
	say "       to a folder that holds etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl and versitygw."
	[ -n "${KUBEBUILDER_ASSETS:-}" ] || exit 1
fi

mkdir -p "$bin"
exec 9>"$bin/.lock"
flock 9

# Without these, /version would answer v0.0.0 and kubectl would refuse to compare itself.
version_flags() {
	local package minor
	minor=$(cut -d. -f2 <<<"$kubernetes")
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		printf -- '-X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s -X %s.gitTreeState=clean -X %s.buildDate=1970-01-01T00:00:00Z ' \
			"$package" "$kubernetes" "$package" "$package" "$minor" "$package" "$package"
	done
}

# build MODULE PACKAGE [LDFLAGS]: one static binary, moved into place when it is complete.
build() {
	local module=$1 package=$2 name target
	name=$(basename "${package%/v3}")
	[ "$module" = etcd ] && name=etcd
	target=$bin/$name
	[ -x "$target" ] && return
	if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then
		ln -sf "$KUBEBUILDER_ASSETS/$name" "$target"
		return
	fi
	say "building $name (once; kept in $bin)"
	# One profile per binary would compile every shared package once per binary.
	(cd "$here/$module" && GOTOOLCHAIN=local CGO_ENABLED=0 go build -trimpath -buildvcs=false -pgo=off \
		-ldflags "-s -w ${3:-}" -o "$target.partial" "$package")
	mv "$target.partial" "$target"
}

build etcd go.etcd.io/etcd/server/v3
for command in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
	build kubernetes "k8s.io/kubernetes/cmd/$command" "$(version_flags)"
done
build s3 github.com/versity/versitygw/cmd/versitygw

printf '%s\n' "$bin"
