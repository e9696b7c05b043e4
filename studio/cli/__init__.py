"""The `studio` command: parses arguments and shows results."""

import sys

if sys.platform == "win32":
    sys.exit("Studio runs on Linux and in WSL2, not on Windows itself\n→ Run `wsl --install`, then install Studio inside WSL.")
