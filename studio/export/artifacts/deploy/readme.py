"""The steps on the machine that will serve: check the files, set a key, start, ask."""

from __future__ import annotations

import json
from collections.abc import Sequence

from studio.core.text import size
from studio.export.artifacts.card import limits, verdict
from studio.export.artifacts.deploy.runtime import Facts, Runtime


def readme(facts: Facts, runtimes: Sequence[Runtime]) -> str:
    """`deploy/README.md`."""
    artifact = facts.artifact
    lines = [
        f"# Serving {facts.name}",
        "",
        f"The export `{artifact.folder}` of {facts.source.name}. {verdict(artifact.verification)}",
        "",
        "Answers were verified greedily (temperature 0), and are served so unless a request asks otherwise. Limits:",
        "",
        *(f"- {limit}" for limit in limits(facts.source, artifact)),
        "",
    ]
    lines += [
        f"1. Copy the whole folder to the machine that serves ({size(artifact.bytes)}):",
        f"   `rsync -a {artifact.folder}/ user@server:{facts.name}/`",
        "2. There, in that folder, see that it arrived whole: `sha256sum -c SHA256SUMS`",
    ]
    if not runtimes:
        lines += ["3. No server loads this kind of export by itself. How its own runtime is started:", ""]
        lines += [*(f"   - `{command}`" for command in artifact.serve or ["see `README.md`"]), ""]
        return "\n".join(lines)
    first = "one of these" if len(runtimes) > 1 else "it"
    lines += [f"3. Start {first}. Image and program versions are pinned; raise them when you have tried the newer one.", ""]
    for runtime in runtimes:
        lines += _runtime(facts, runtime)
    return "\n".join(lines)


def _runtime(facts: Facts, runtime: Runtime) -> list[str]:
    needed = [item.name for item in runtime.every if item.value is None]
    setting = f"  # then write {' and '.join(needed)} into it" if needed else ""
    image = runtime.service["image"]
    lines = [f"## {runtime.title}", "", f"With Docker ([image](https://{_page(image)}) `{image}`):", "", "```sh"]
    lines += [f"cd deploy/{runtime.folder}", f"cp .env.example .env{setting}", "docker compose up -d", "```", ""]
    if runtime.gpu:
        lines += ["On an NVIDIA GPU: `docker compose -f docker-compose.yml -f docker-compose.gpu.yml up -d`", ""]
    lines += [f"Without a container: {runtime.program}; then `sh deploy/{runtime.folder}/run.sh`", ""]
    place = f", in `deploy/{runtime.folder}`" if runtime.protected else ""
    lines += [f"Is it ready? `curl -f http://127.0.0.1:{runtime.port}{runtime.health}`  Ask it{place}:", "", "```sh"]
    lines += [*_curl(facts, runtime), "```", "", "| in `.env` | default | |", "| --- | --- | --- |"]
    lines += [f"| `{item.name}` | {item.value if item.value is not None else 'none'} | {item.what} |" for item in runtime.every]
    return [*lines, "", *(f"{note}\n" for note in runtime.notes)]


def _curl(facts: Facts, runtime: Runtime) -> list[str]:
    asked = {"model": facts.name, "messages": facts.source.first_messages, "max_tokens": 64, "temperature": 0}
    key = ['  -H "Authorization: Bearer $API_KEY" \\'] if runtime.protected else []
    said = json.dumps(asked, ensure_ascii=False).replace("'", "'\\''")
    return [
        *([". ./.env"] if key else []),
        f"curl http://127.0.0.1:{runtime.port}/v1/chat/completions -H 'Content-Type: application/json' \\",
        *key,
        f"  -d '{said}'",
    ]


def _page(image: str) -> str:
    name = image.rpartition(":")[0]
    return name if "." in name.split("/")[0] else f"hub.docker.com/r/{name}"
