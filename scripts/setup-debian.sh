#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building, testing and measuring CloudFabric need, if they are missing.
#
# Asks dpkg first, so that a second run does nothing and needs neither root nor a network. Without root, missing
# packages of the build are an error that says what to run; missing packages of the kernel tests and the benchmarks
# are a warning, because those are skipped then (see CONTRIBUTING.md).
set -eu

build="gcc libc6-dev make pkg-config ca-certificates clang llvm libbpf-dev libelf-dev zlib1g-dev"
# A bare machine has no Python either; any Python 3.11+ with venv and headers will do (scripts/find-python.sh).
"$(dirname "$0")/find-python.sh" >/dev/null 2>&1 || build="$build python3-venv python3-dev"
kernel="iproute2 iputils-ping iperf3 ethtool bpftool"
bench="python3-bpfcc linux-headers-amd64" # BCC, one of the peers, compiles against kernel headers

say() { printf '%s\n' "setup: $*"; }

# Prints those of its arguments that are not installed.
missing() {
	for package in "$@"; do
		dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s ' "$package"
	done
}

install() {
	say "installing $*"
	export DEBIAN_FRONTEND=noninteractive
	if ! $as_root apt-get install --yes --quiet --no-install-recommends "$@"; then
		say "package lists may be out of date: fetching them"
		$as_root apt-get update --quiet && $as_root apt-get install --yes --quiet --no-install-recommends "$@"
	fi
}

if ! command -v dpkg-query >/dev/null; then
	say "not a Debian system: install the equivalents of: $build $kernel $bench"
	exit 0
fi

as_root=""
if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null && sudo --non-interactive true 2>/dev/null; then
	as_root="sudo --preserve-env=DEBIAN_FRONTEND"
fi

# shellcheck disable=SC2086 # lists of words
needed=$(missing $build)
# shellcheck disable=SC2086
useful=$(missing $kernel $bench)

if [ -z "$needed$useful" ]; then
	say "all Debian packages are installed"
	exit 0
fi

if [ "$(id -u)" -ne 0 ] && [ -z "$as_root" ]; then
	if [ -n "$useful" ]; then
		say "not root, so these stay missing and what needs them is skipped: $useful"
	fi
	if [ -n "$needed" ]; then
		say "not root, and the build needs these packages. Run, as root: apt-get install $needed" >&2
		exit 1
	fi
	exit 0
fi

# shellcheck disable=SC2086
[ -z "$needed" ] || install $needed
# One by one: an archive that lacks one of them must not cost the others.
for package in $useful; do
	install "$package" || say "$package could not be installed; what needs it is skipped"
done
say "done"
