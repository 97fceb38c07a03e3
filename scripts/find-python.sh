#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a Python 3.11 or newer that can make virtual environments and build extension modules.
#
# Debian's own comes first, whatever else is in PATH: BCC's Python module, a peer in the benchmarks, is installed for it.
set -eu

check='
import ensurepip, os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(0 if sys.version_info >= (3, 11) and os.path.exists(header) else 1)
'

for candidate in /usr/bin/python3.11 /usr/bin/python3 python3.11 python3.12 python3.13 python3.14 python3; do
	if "$candidate" -c "$check" >/dev/null 2>&1; then
		command -v "$candidate"
		exit 0
	fi
done
echo "No Python 3.11 or newer with venv and headers was found: on Debian, install python3-venv and python3-dev" >&2
exit 1
