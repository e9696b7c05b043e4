"""The YAML head of a model card, as the hub reads it: licence, base model, library, tags, results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from studio.evaluation.metrics import METRICS
from studio.evaluation.report import CROSS_VALIDATED
from studio.export.merging.run_info import cell

if TYPE_CHECKING:
    from studio.evaluation.report import Report
    from studio.export.artifacts.manifest import Artifact
    from studio.export.merging.source import Source

LIBRARIES = {"adapter": "peft", "merged": "transformers", "merged_4bit": "transformers", "tensorrt_llm": "transformers",
             "gguf": "gguf", "gguf_adapter": "gguf", "onnx": "onnxruntime-genai"}  # fmt: skip
"""The hub's name of the library that loads a kind; a kind that is not here is called by its own name."""
PLAIN = ("f16", "fp16", "bf16", "fp32", "none")
"""Values of a `quant` or `precision` setting that quantise nothing."""
_LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-
by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-
nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0
wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0
isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0
postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2
llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown other
"""
LICENSES = frozenset(_LICENSES.split())
"""Licences the hub knows by name. Any other is `other` with its name beside it."""
METRIC_TYPES = {"exact_match": "exact_match", "normalised_match": "exact_match", "token_f1": "f1", "rouge_l": "rouge",
                "perplexity": "perplexity", "token_accuracy": "accuracy"}  # fmt: skip
"""The hub's metric for each of ours that it has one for."""


def front_matter(source: Source, artifact: Artifact) -> str:
    """The head of an export's card, without its `---` lines."""
    report = source.about.report
    results = _results(report, artifact) if report else []
    tags = [artifact.kind.replace("_", "-"), *_quant(artifact.settings)]
    return head(source, artifact.kind, relation(artifact), tags, results)


def head(
    source: Source, kind: str, relation: str = "adapter", tags: Sequence[str] = ("adapter",), results: Sequence[Any] = ()
) -> str:
    """The head of a card of a kind of export, without its `---` lines."""
    from huggingface_hub import ModelCardData

    base = source.base_id or None
    values: dict[str, Any] = {
        **_license(source.base.license),
        "library_name": LIBRARIES.get(kind, kind),
        "pipeline_tag": "text-generation",
        "base_model": base,
        "base_model_relation": relation if base else None,
        "datasets": source.about.hub_data or None,
        "tags": ["slm-studio", *tags, "lora", "conversational"],
        "model_name": source.name if results else None,
        "eval_results": list(results) or None,
    }
    return ModelCardData(**{name: value for name, value in values.items() if value is not None}).to_yaml().strip()


def relation(artifact: Artifact) -> str:
    """How it stems from its base, in the hub's words. A merged LoRA is a `finetune` there: `merge` is for several models."""
    if artifact.kind in ("adapter", "gguf_adapter"):
        return "adapter"
    quant = _quant(artifact.settings)
    plain = quant[0] in PLAIN if quant else artifact.kind in ("merged", "tensorrt_llm")
    return "finetune" if plain else "quantized"


def _quant(settings: dict[str, Any]) -> list[str]:
    return [str(settings[name]) for name in ("quant", "precision", "scheme") if settings.get(name)][:1]


def _license(name: str | None) -> dict[str, str]:
    if not name:
        return {}
    return {"license": name} if name in LICENSES else {"license": "other", "license_name": name}


def _results(report: Report, artifact: Artifact) -> list[Any]:
    """The figures that hold for this very export, one of a type for each set.

    Of the held-out rows its own, where it was asked them again and quantized or found to lose some; else those of the
    evaluation, with their interval, which only an export without a loss may show.
    """
    costs = {cost.set: cost for cost in artifact.verification.sets}
    lossy = artifact.verification.loses_some or relation(artifact) == "quantized"
    results = []
    for item in report.sets:
        if item.name == CROSS_VALIDATED:  # other models answered
            continue
        cost = costs.get(item.name) if lossy else None
        own = cost.metrics if cost else None
        if lossy and own is None:
            continue
        types: set[str] = set()
        for name, compared in item.metrics.items():
            kind = METRIC_TYPES.get(name)
            if kind is None or kind in types or (own is not None and name not in own):
                continue
            types.add(kind)
            metric, tuned = METRICS[name], compared.tuned
            if own is not None and cost is not None:
                value, said = own[name].artifact, f"{metric.label} (this export, {cost.rows} rows)"
            else:
                unit = " %" if metric.unit == "share" and tuned.low is not None else ""
                value, said = (
                    tuned.value,
                    f"{metric.label} (95 % interval {metric.show_interval(tuned)}{unit}, {tuned.rows} rows)",
                )
            results.append(_result(item.name, item.label, kind, said, value))
    return results


def _result(name: str, label: str, kind: str, said: str, value: float) -> Any:
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type="text-generation",
        task_name="Text generation",
        dataset_type="private" if name != "general" else "slm-studio-general",
        dataset_name=cell(label),
        dataset_config=cell(label),  # the hub takes results of one dataset and configuration together
        metric_type=kind,
        metric_name=said,
        metric_value=round(float(value), 4),
    )
