"""Put first on PYTHONPATH: one write of a run's worker fails, as CAMPAIGN_WRITE and CAMPAIGN_FAULT say."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if "CAMPAIGN_WRITE" in os.environ and b"studio.worker" in Path("/proc/self/cmdline").read_bytes().split(b"\0"):
    sys.path.append(os.environ["PYTHONPATH"].split(os.pathsep)[1])
    from tests.campaign import faults

    faults.fail_for_good(int(os.environ["CAMPAIGN_WRITE"]), os.environ["CAMPAIGN_FAULT"], Path(os.environ["CAMPAIGN_NOTE"]))
