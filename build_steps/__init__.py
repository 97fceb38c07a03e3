# SPDX-License-Identifier: Apache-2.0
"""Build steps of setup.py: bpf (clang), verdicts (generated Python), extensions (Cython), commands (setuptools)."""
