"""One-line faults put into a copy of the code, each of which a test has to notice: `python -m tests.mutants [WORD ...]`.

A fault is named by its file and the exact text it replaces, so that it fails loudly once that text is gone. The last
result is kept in `tests/mutants.txt`. WORD: only faults whose file or text holds it; the result is then not kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).with_suffix(".txt")


@dataclass(frozen=True)
class Mutant:
    """A fault: in `file` the only occurrence of `old` becomes `new`; `tests` (pytest's arguments) have to fail."""

    file: str
    old: str
    new: str
    tests: str


SPLIT, CHECK, ENCODE = "tests/data/test_split.py", "tests/data/test_check.py", "tests/data/test_encode.py"
BATCHES, FIT = "tests/training/test_batches.py", "tests/training/test_fit.py"
INTERVAL, VERDICT = "tests/evaluation/test_interval.py", "tests/evaluation/test_verdict.py"
RUNS, SESSION = "tests/runs/test_runs.py", "tests/ui/test_session.py"
ACCESS, KEYS = "tests/http tests/ui/test_access.py", "tests/serving/test_parts.py --fast"
SECRETS, PLAN = "tests/tracking/test_secrets.py", "tests/test_planner.py --fast"
HARDWARE, TIGHT = "tests/hardware tests/test_planner.py", "tests/test_tight_plans.py --fast"

MUTANTS = [
    # data: the split
    Mutant("studio/data/split.py", "return held[inverse]", "return ~held[inverse]", SPLIT),
    Mutant("studio/data/split.py", "len(groups) - 1)\n    order", "len(groups))\n    order", SPLIT),
    Mutant("studio/data/split.py", "if len(keys) < 2:", "if len(keys) < 1:", SPLIT),
    Mutant("studio/data/split.py", "if sizes[place] <= missing:", "if sizes[place] < missing:", SPLIT),
    Mutant("studio/data/split.py", "np.uint64(digest(str(seed)))", "np.uint64(0)", SPLIT),
    Mutant("studio/data/split.py", 'unicodedata.normalize("NFKC", text)', "text", SPLIT),
    Mutant("studio/data/split.py", "_OPENER = 3", "_OPENER = 1", SPLIT),
    Mutant("studio/data/split.py", "pairs.setdefault(begin, (one, two))", "pairs.setdefault(place, (one, two))", SPLIT),
    Mutant("studio/data/split.py", "answers[order][1:] != answers", "answers[order][1:] == answers", SPLIT),
    # data: checks, encoding, masks
    Mutant("studio/data/check.py", '["role"] != "system":', '["role"] == "system":', CHECK),
    Mutant("studio/data/check.py", "(marked or not isinstance(value, str))", "marked", f"{CHECK} tests/data/test_meaning.py"),
    Mutant(
        "studio/data/check.py", "bad = keep is not None and is_marked_bad", "bad = False and is_marked_bad", "tests/data --fast"
    ),
    Mutant("studio/data/encode.py", "        tokenizer.chat_template,\n", "", ENCODE),
    Mutant("studio/data/encode.py", "        *map(sha256, files),\n", "", ENCODE),
    Mutant("studio/data/encode.py", "        train_on,\n        *([needs]", "        *([needs]", ENCODE),
    Mutant("studio/data/encode.py", "longest > max_length) if", "longest >= max_length) if", ENCODE),
    Mutant("studio/data/limits.py", "if index not in long:", "if index in long:", ENCODE),
    Mutant(
        "studio/data/encode.py",
        "        if not writer.rows:\n            raise _nothing",
        "        if False:\n            raise _nothing",
        ENCODE,
    ),
    Mutant("studio/training/layouts.py", "learned[starts] = False", "pass", BATCHES),
    Mutant("studio/training/layouts.py", "learned[:, 0] = False", "pass", BATCHES),
    Mutant("studio/training/layouts.py", "np.arange(length, dtype=np.int64)", "np.arange(length, dtype=np.int64) + 1", BATCHES),
    Mutant("studio/training/batches.py", "permutation(self.rows)", "permutation(self.rows - 1)", BATCHES),
    Mutant("studio/training/batches.py", "default_rng((self.seed, epoch))", "default_rng((self.seed, 0))", BATCHES),
    Mutant("studio/training/batches.py", "if index == 0 or step == done:", "if index == 0:", BATCHES),
    Mutant("studio/training/batches.py", "            left -= lengths[index]\n", "", BATCHES),
    Mutant("studio/training/batches.py", "(counts[-1] + 1) * longest <= budget", "counts[-1] * longest <= budget", BATCHES),
    Mutant("studio/training/batches.py", "longest - length <= PADDING_LIMIT", "longest - length <= 8 * PADDING_LIMIT", BATCHES),
    Mutant("studio/training/schedule.py", "(step + 1) / (warm + 1)", "step / (warm + 1)", BATCHES),
    Mutant("studio/training/schedule.py", "math.ceil(rows / batch_size)", "rows // batch_size", BATCHES),
    Mutant("studio/training/schedule.py", "return min(steps, max_steps) if", "return steps if", BATCHES),
    Mutant("studio/training/schedule.py", "(step - warm) / max(1, total - warm)", "step / max(1, total)", BATCHES),
    # training: guards and resuming
    Mutant("studio/training/guards.py", "    if job.train.trained == 0:", "    if False:", f"{FIT} -k refused"),
    Mutant(
        "studio/training/guards.py", "if longest > job.max_length:", "if longest > 2 * job.max_length:", f"{FIT} -k refused"
    ),
    Mutant("studio/training/guards.py", "step == 1 and loss == 0.0", "loss == 0.0", f"{FIT} -k zero"),
    Mutant("studio/training/guards.py", "{micro // 2} ({result})", "{micro} ({result})", f"{FIT} -k memory"),
    # evaluation: intervals and the verdict
    Mutant("studio/evaluation/interval.py", "LEVEL = 0.95", "LEVEL = 0.90", INTERVAL),
    Mutant(
        "studio/evaluation/interval.py",
        "self.low is not None and self.low > 0",
        "self.low is not None and self.low >= 0",
        INTERVAL,
    ),
    Mutant(
        "studio/evaluation/interval.py",
        "return self.high is not None and self.high < 0",
        "return self.high is None or self.high < 0",
        INTERVAL,
    ),
    Mutant("studio/evaluation/interval.py", "default_rng([self.seed, start])", "default_rng([start])", INTERVAL),
    Mutant("studio/evaluation/interval.py", "if rows < 2:", "if rows < 1:", INTERVAL),
    Mutant("studio/evaluation/interval.py", "tuned.value - base.value, tuned", "base.value - tuned.value, tuned", INTERVAL),
    Mutant("studio/evaluation/interval.py", "((1 - LEVEL) / 2) ** (1 / rows)", "(1 - LEVEL) ** (1 / rows)", INTERVAL),
    Mutant("studio/evaluation/verdict.py", '"better but forgets" if forgets else "better"', '"better"', VERDICT),
    Mutant(
        "studio/evaluation/verdict.py",
        "if any(METRICS[name].lost(change) for",
        "if not any(METRICS[name].lost(change) for",
        VERDICT,
    ),
    Mutant("studio/evaluation/cautions.py", "rows_of(item) < FEW", "rows_of(item) > FEW", VERDICT),
    Mutant("studio/evaluation/cautions.py", "FEW = 20", "FEW = 5", VERDICT),
    Mutant("studio/evaluation/cautions.py", "stops.tuned.value < SELDOM", "stops.tuned.value < 0", VERDICT),
    Mutant("studio/evaluation/cautions.py", "knew < LITTLE", "knew < 0", VERDICT),
    # planner: what fits, and the parts of its memory
    Mutant(
        "studio/planner/fitting.py",
        "return [fit for fit in candidates if fit.memory.total <= case.machine.memory_budget]",
        "return candidates",
        PLAN,
    ),
    Mutant("studio/planner/fitting.py", "fastest = min(way.seconds", "fastest = max(way.seconds", PLAN),
    Mutant("studio/planner/fitting.py", "while size > rows and size > 1:", "while False:", PLAN),
    Mutant("studio/planner/fitting.py", "if way.memory.total <= shortening.TIGHT * budget]", "]", PLAN),
    Mutant("studio/planner/shortening.py", "FOR_A_MARGIN * len(rows) else fits", "len(rows) else fits", TIGHT),
    Mutant("studio/planner/plan.py", "return self.memory.total <= self.memory_budget and (", "return True and (", PLAN),
    Mutant("studio/hardware/memory.py", "return 2 * each * trained", "return each * trained", HARDWARE),
    Mutant("studio/hardware/memory.py", "if double else 4 * blocks", "if double else blocks", HARDWARE),
    Mutant("studio/hardware/memory.py", "(dims.layers - 1) % config.recompute_every", "0", HARDWARE),
    Mutant("studio/hardware/peak.py", "STEP[2]: max(0, head - work),", "STEP[2]: 0,", HARDWARE),
    Mutant("studio/hardware/peak.py", "    if beyond > 0:", "    if False:", HARDWARE),
    # runs: the queue
    Mutant("studio/runs/queue.py", "ORDER BY place LIMIT 1", "ORDER BY place DESC LIMIT 1", RUNS),
    Mutant("studio/runs/queue.py", "COALESCE(MAX(place), 0) + 1", "0", RUNS),
    Mutant("studio/runs/queue.py", "max(0, position - 1)", "max(0, position)", RUNS),
    # web and API: sessions, origins, keys, bodies
    Mutant("studio/ui/session.py", "FREE_TRIES = 5", "FREE_TRIES = 50", SESSION),
    Mutant("studio/ui/session.py", "int(ends) > (now or time.time())", "int(ends) > 0", SESSION),
    Mutant(
        "studio/ui/session.py",
        "            self.token = secrets.token_urlsafe(24)\n        self.tell",
        "        self.tell",
        SESSION,
    ),
    Mutant("studio/ui/session.py", "        self.key_file.unlink(missing_ok=True)\n", "", SESSION),
    Mutant("studio/ui/session.py", "count - self.free + 1", "1", SESSION),
    Mutant("studio/http/hosts.py", '_location(origin, "Origin") != host', "False", ACCESS),
    Mutant(
        "studio/http/hosts.py",
        'not in (None, "same-origin", "none")',
        'not in (None, "same-origin", "none", "cross-site")',
        ACCESS,
    ),
    Mutant("studio/http/hosts.py", "if name in names or", "if True or", ACCESS),
    Mutant("studio/http/shell.py", "if seen > limit:", "if False:", ACCESS),
    Mutant("studio/http/shell.py", "int(length) > limit:", "int(length) > 10 * limit:", ACCESS),
    Mutant("studio/serving/keys.py", "            self._hashes = {}  # the file was taken away: nobody is let in\n", "", KEYS),
    Mutant("studio/serving/keys.py", "hmac.compare_digest(given, known)", "True", KEYS),
    Mutant("studio/serving/keys.py", "os.chmod(file, 0o600)", "pass", KEYS),
    # secrets
    Mutant("studio/tracking/secrets.py", 'r"hf_[A-Za-z0-9]{16,}"', 'r"hf_[A-Za-z0-9]{99,}"', SECRETS),
    Mutant("studio/tracking/secrets.py", 'text = text.replace(value, "[hidden]")', "pass", SECRETS),
    Mutant("studio/tracking/secrets.py", "os.O_TRUNC, 0o600)", "os.O_TRUNC, 0o644)", SECRETS),
]

EXPLAINED: dict[str, str] = {}
"""Why a fault may live, by its replaced text: it changes nothing that anybody could see."""


def main(words: list[str]) -> int:
    """Try them; 0 if every one is noticed or explained and every text is there."""
    chosen = [item for item in MUTANTS if not words or any(word in item.file or word in item.old for word in words)]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".pytest_cache", "build")
        shutil.copytree(ROOT, copy, ignore=ignored)
        lines = []
        for item in chosen:
            lines.append(f"{_try(item, copy):9} {item.file}: {_short(item.old)} -> {_short(item.new) or '(nothing)'}")
            print(lines[-1], flush=True)
    outcomes = Counter(line.split()[0] for line in lines)
    summary = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
    print(summary)
    if not words:
        RESULT.write_text("\n".join([summary, *lines]) + "\n", encoding="utf-8")
    return int(bool(outcomes.keys() - {"killed", "explained"}))


def _try(item: Mutant, copy: Path) -> str:
    """`killed`, `explained`, `survived`, or `gone` if the text is not there just once."""
    file = copy / item.file
    whole = file.read_text(encoding="utf-8") if file.exists() else ""
    if whole.count(item.old) != 1:
        return "gone"
    file.write_text(whole.replace(item.old, item.new), encoding="utf-8")
    try:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--timeout",
            "120",
            "-p",
            "no:cacheprovider",
            *item.tests.split(),
        ]
        ended = subprocess.run(
            command,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    finally:
        file.write_text(whole, encoding="utf-8")
    if ended.returncode == 1:
        return "killed"
    if ended.returncode:
        raise RuntimeError(f"pytest ended with {ended.returncode} (2 stopped, 4 wrong use, 5 no tests): {item}")
    return "explained" if item.old in EXPLAINED else "survived"


def _short(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
