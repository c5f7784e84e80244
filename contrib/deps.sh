#!/bin/sh
# Install what building and testing bulkhead need on Debian 12, and fill
# build/deps. What cannot be had is said in one line and skipped: the build
# needs the first list, tests that need the rest are skipped and counted.
set -u
cd "$(dirname "$0")/.." || exit 1
deps=build/deps
mkdir -p "$deps"

build="gcc make pkg-config libc6-dev libev-dev libssl-dev libbsd-dev libmsgpack-dev libseccomp-dev \
libjansson-dev libmicrohttpd-dev libxxhash-dev libcrypt-dev"
tests="check clang libclang-rt-14-dev clang-format valgrind python3 python3-venv libnats-dev \
nodejs npm mandoc curl strace"

root=
if [ "$(id -u)" -ne 0 ]; then
	root=sudo
	command -v sudo >/dev/null || { echo "deps: neither root nor sudo: install yourself: $build $tests" >&2; root=false; }
fi

# Names of a list that are not installed yet. A program that is there already counts.
missing() {
	for p in "$@"; do
		case $p in
		nodejs) command -v node >/dev/null && continue ;;
		npm | clang | valgrind | make | gcc | curl | strace | clang-format) command -v "$p" >/dev/null && continue ;;
		esac
		dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || echo "$p"
	done
}

install() {
	[ $# -eq 0 ] && return 0
	$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$deps/apt.log" 2>&1
}

want=$(missing $build $tests)
if [ -n "$want" ]; then
	echo "deps: installing" $want
	$root apt-get update >"$deps/apt-update.log" 2>&1 || echo "deps: apt-get update failed (see $deps/apt-update.log)"
	if ! install $want; then
		# One by one, so that a package that cannot be had does not cost the others.
		install $(missing $build) || { echo "deps: cannot install what the build needs (see $deps/apt.log)" >&2; exit 1; }
		for p in $(missing $tests); do
			install "$p" || echo "deps: skipped: $p cannot be installed"
		done
	fi
fi

# Debian's server, to compare with. Installed it would start as a service on
# port 4222, which is the one we are to serve: unpacked is enough.
if ! command -v nats-server >/dev/null && [ ! -x /usr/sbin/nats-server ] && [ ! -x "$deps/debian/usr/sbin/nats-server" ]; then
	if (cd "$deps" && rm -f nats-server_*.deb && apt-get download nats-server >nats-server.log 2>&1 &&
	    dpkg-deb -x nats-server_*.deb debian); then
		:
	else
		echo "deps: skipped: Debian's nats-server (see $deps/nats-server.log)"
	fi
elif command -v systemctl >/dev/null && systemctl is-active --quiet nats-server 2>/dev/null; then
	echo "deps: note: Debian's nats-server runs on port 4222 (systemctl disable --now nats-server frees it)"
fi

venv=$deps/venv
if [ ! -e "$venv/.done" ] || [ tests/interop/requirements.lock -nt "$venv/.done" ]; then
	if python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes \
	    -r tests/interop/requirements.lock; then
		touch "$venv/.done"
	else
		echo "deps: skipped: Python environment for the tests ($venv)"
	fi
fi

node=$deps/node
if [ ! -e "$node/.done" ] || [ tests/interop/package-lock.json -nt "$node/.done" ]; then
	mkdir -p "$node"
	cp tests/interop/package.json tests/interop/package-lock.json "$node/"
	if command -v npm >/dev/null && (cd "$node" && npm ci --silent --no-audit --no-fund >npm.log 2>&1); then
		touch "$node/.done"
	else
		echo "deps: skipped: npm's nats client ($node)"
	fi
fi

# The newest real server, to compare with, where Go is at hand.
version=v2.15.2
if [ ! -x "$deps/bin/nats-server" ]; then
	if command -v go >/dev/null; then
		GOBIN=$PWD/$deps/bin GOFLAGS=-mod=mod go install "github.com/nats-io/nats-server/v2@$version" \
		    >"$deps/go.log" 2>&1 || echo "deps: skipped: nats-server $version (see $deps/go.log)"
	else
		echo "deps: skipped: nats-server $version, no Go here (Debian's is used to compare with)"
	fi
fi

# The tool for nkeys, to compare ours with.
if [ ! -x "$deps/bin/nk" ]; then
	if command -v go >/dev/null; then
		GOBIN=$PWD/$deps/bin GOFLAGS=-mod=mod go install github.com/nats-io/nkeys/nk@v0.4.16 \
		    >"$deps/go-nk.log" 2>&1 || echo "deps: skipped: nk (see $deps/go-nk.log)"
	else
		echo "deps: skipped: nk, no Go here"
	fi
fi
exit 0
