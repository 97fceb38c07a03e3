# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml cannot say: BPF objects, generated code and Cython extensions.

Each step lives in its own module of ``build_steps/`` and rebuilds only what is older than its inputs.
Everything else about the package is in pyproject.toml.
"""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))  # a PEP 517 front end does not put it there

from build_steps.commands import COMMANDS, PlatformDistribution
from build_steps.extensions import extension_modules

setup(cmdclass=COMMANDS, distclass=PlatformDistribution, ext_modules=extension_modules())
