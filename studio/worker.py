"""The process that runs one run.

It tells the run folder how things go and ends with the exit code of the command: 0 done, 1 failed, 2 the input is
wrong, 130 stopped.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import shutil
import signal
import sys
import traceback
import warnings
from pathlib import Path

from studio.core import events, noise
from studio.core.errors import Stopped, StudioError
from studio.core.machine_errors import translate
from studio.core.records import ErrorRecord
from studio.hardware import allocator, machine
from studio.runs import reserve
from studio.runs.folder import RunFolder
from studio.runs.recorder import FolderRemoved, Recorder


def main(folder: RunFolder) -> int:
    """Work on the run in `folder` from where it stands. Returns the exit code."""
    set_environment()
    faulthandler.enable()
    sweep(folder)
    recorder = Recorder(folder)

    def ask(signum: int, frame: object) -> None:
        recorder.stop_asked = True

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal it was started from may close
    try:
        from studio import pipeline

        pipeline.run(folder, recorder)
    except Stopped:
        recorder.end("stopped")
        return 130
    except allocator.ExpandingRefused as error:
        recorder.event(events.Note(message=f"the GPU refused memory in segments that grow ({error}): starting again without"))
        start_again()
    except FolderRemoved as error:
        print(error, file=sys.stderr)  # noqa: T201 - the log may be gone too
        return error.exit_code
    except StudioError as error:
        recorder.end("failed", error)
        return error.exit_code
    except Exception as error:
        reserve.release(folder.reserve)
        with contextlib.suppress(OSError):  # a full disk has no room for the log either
            traceback.print_exc()
        recorder.end("failed", translate(error) or _bug(error, folder.log))
        return 1
    recorder.end("done")
    return 0


def start_again() -> None:
    """Replace this process by a new one of the same run, whose allocator gets memory in fixed segments."""
    os.environ[allocator.VARIABLE] = allocator.FIXED
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def sweep(folder: RunFolder) -> None:
    """Remove the half-written files that a killed process of this run left."""
    for part in (folder.path, folder.data, folder.checkpoints):
        for file in part.glob(".*"):
            if file != folder.reserve:
                shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)


def _bug(error: Exception, log: Path) -> ErrorRecord:
    message = f"internal error in Studio (a bug, not your input): {type(error).__name__}: {error}"
    return ErrorRecord(kind="Fault", message=message, hint=f"The log has the details: {log}", where=str(log))


def set_environment() -> None:
    """What must be in the environment before torch and the hub client are imported; their remarks to developers stay unsaid."""
    noise.quiet_loggers()
    warnings.filterwarnings("ignore", category=FutureWarning)  # of libraries, to their developers
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads cost small models on a CPU a factor of 6
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    allocator.configure()
    gpu = machine.probe().gpu
    if gpu and gpu.uuid and not gpu.mig:  # CUDA counts GPUs in another order than the driver: the planned one, by its name
        os.environ.update(CUDA_DEVICE_ORDER="PCI_BUS_ID", CUDA_VISIBLE_DEVICES=gpu.uuid)


if __name__ == "__main__":
    sys.exit(main(RunFolder(Path(sys.argv[1]))))
