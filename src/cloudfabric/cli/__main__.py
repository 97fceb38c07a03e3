# SPDX-License-Identifier: Apache-2.0
"""`python -m cloudfabric.cli`: the command, where its script is not in PATH."""

from cloudfabric.cli import main

if __name__ == "__main__":
    main()
