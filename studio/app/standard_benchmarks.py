"""Use case of standard benchmarks: tasks of lm-evaluation-harness on base, tuned model and exports of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import JobError, SpecError
from studio.tracking.reporter import ProgressListener

if TYPE_CHECKING:
    from studio.app.runs import Run
    from studio.evaluation.standard import StandardReport

OWN = "own"
"""The task of the run's own held-out rows."""
TOOLCHAIN = "lm-eval"
HARNESS, GGUF = "studio.evaluation.harness:run", "studio.export.llamacpp.harness:run"


def measure(
    run: Run,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    tell: Callable[[float, float, str], None] = lambda done, total, what: None,
) -> StandardReport:
    """Tasks on base, tuned and every export that is a merged model or a GGUF file, paired by document; kept in its folder.

    tasks: `own` for the run's held-out rows, the YAML file of a task, or the name of one that comes with the harness, whose
    data it fetches. limit: documents of each task. Raises ExportError if lm-eval is not installed, JobError, SpecError,
    EvaluationError.
    """
    if not (run.folder.adapter / "adapter_config.json").exists():
        raise JobError(
            f"this run has no trained adapter (state: {run.status.state})", hint="Evaluate a run that is done.", where=run.id
        )
    from studio import worker
    from studio.evaluation import standard
    from studio.export import toolchains
    from studio.export.artifacts.manifest import Artifact
    from studio.runs import report_page

    toolchains.python(TOOLCHAIN)
    worker.set_environment()
    chosen = [_task(run, name) for name in dict.fromkeys(tasks)]
    spec = run.folder.resolved_spec()
    common = {"tasks": chosen, "system": spec.data.system or "", "limit": limit, "template": True}
    reporter = ProgressListener(tell)

    def call(function: str, **model: object) -> dict[str, Any]:
        return toolchains.call(TOOLCHAIN, function, {**common, **model}, reporter)

    sides = call(HARNESS, model=spec.model.model_dump(mode="json"), adapter=str(run.folder.adapter.absolute()))
    skipped: list[str] = []
    for folder in [file.parent for file in run.folder.manifests()]:
        gguf = sorted(folder.glob("*.gguf"))
        if (folder / "config.json").exists() and list(folder.glob("*.safetensors")):
            merged = {"name": str(folder.absolute()), "quantization": "none"}
            sides |= call(HARNESS, model=merged, adapter="", side=folder.name)
        elif Artifact.read(folder / "artifact.json").kind == "gguf" and gguf:
            base = {**spec.model.model_dump(mode="json"), "quantization": "none"}
            sides |= call(GGUF, model=base, gguf=str(gguf[0].absolute()), side=folder.name)
        else:
            skipped.append(f"{folder.name}: the harness measures merged models and GGUF files only")
    version = next(pin.partition("==")[2] for pin in toolchains.ENVIRONMENTS[TOOLCHAIN].pins if pin.startswith("lm-eval=="))
    found = standard.results(sides, [task["name"] for task in chosen])
    report = standard.StandardReport(tasks=found, harness=version, template=True, limit=limit, skipped=tuple(skipped))
    report.write(run.folder.standard)
    if run.folder.report.exists():
        report_page.write(run.folder, run.report)
    return report


def _task(run: Run, name: str) -> dict[str, str]:
    """A task by the name and folder that the harness takes."""
    import yaml

    if name == OWN:
        from studio.app import evidence

        folder = run.folder.standard.with_name("lm-eval")
        evidence.write_task(run, folder)
        file = next(folder.glob("*.yaml"))
    elif name.endswith((".yaml", ".yml")):
        file = Path(name).expanduser().absolute()
        if not file.is_file():
            raise SpecError("there is no such task", hint="Name the YAML file of a task.", where=name)
    else:
        return {"name": name, "folder": ""}
    try:
        task = yaml.safe_load(file.read_text("utf-8"))["task"]
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise SpecError(f"this is not a task: {error}", hint="Its YAML needs the key `task`.", where=name) from None
    return {"name": str(task), "folder": str(file.parent)}
