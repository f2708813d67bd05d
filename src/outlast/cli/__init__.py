"""The command line: `outlast COMMAND ...`, one file a command, loaded when it is chosen.

Exit codes: see `outlast.cli.app`.
"""

from outlast.cli.app import main

__all__ = ["main"]
