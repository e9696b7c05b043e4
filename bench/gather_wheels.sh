#!/usr/bin/env bash
# Gathers, into the folder $1 (default .whl), the packages that a CUDA machine without a network lacks: one that already has
# Python 3.12, torch 2.11 for CUDA 13, triton, numpy, pandas, pyarrow, psutil, pytest, pyyaml, jinja2 and the like.
# bitsandbytes is repacked with its CUDA 13 and CPU libraries alone: 43 MB -> about 2 MB. Versions are those of constraints.txt.
#
#   bash bench/gather_wheels.sh .whl          # here, about 40 MB; then copy the repository and the folder to that machine
#   there: python3 -m pip install -q --no-index --no-deps --no-compile --target /tmp/site .whl/*.whl
#          PYTHONPATH=/tmp/site:$PWD bash bench/first_card.sh OUT
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-.whl}
mkdir -p "$out"
names="trl bitsandbytes datasets peft transformers accelerate dill multiprocess pydantic pydantic-core annotated-types
typing-inspection orjson openpyxl et-xmlfile keyring jaraco-classes jaraco-functools jaraco-context more-itertools gguf httpx
charset-normalizer xxhash fastapi starlette uvicorn llguidance prometheus-client tokenizers safetensors huggingface-hub typer rich
nvidia-ml-py pytest-timeout httpx2 httpcore2 truststore annotated-doc click hf-xet h11 anyio idna sniffio regex
phonenumberslite py3langid genai-prices jsonschema jsonschema-specifications referencing rpds-py httpcore certifi shellingham
markdown-it-py mdurl opentelemetry-api attrs"
platforms=()
for tag in manylinux_2_{34,31,28,27,24,17}_x86_64 manylinux2014_x86_64 manylinux1_x86_64 any; do platforms+=(--platform "$tag"); done
missing=0
for name in $names; do
  pin=$(grep -iE "^${name//-/[-_.]}==" constraints.txt | head -1 || true)
  python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp "${platforms[@]}" \
    -d "$out" "${pin:-$name}" 2>/dev/null || { echo "not found: ${pin:-$name}" >&2; missing=1; }
done
python3 - "$(ls "$out"/bitsandbytes-*.whl)" <<'PY'
import os
import sys
import zipfile

source = sys.argv[1]
small = source + ".small"


def keep(name):
    return not name.endswith(".so") or name.endswith(("libbitsandbytes_cpu.so", "libbitsandbytes_cuda130.so"))


with zipfile.ZipFile(source) as old, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as new:
    for item in old.infolist():
        if not keep(item.filename):
            continue
        data = old.read(item.filename)
        if item.filename.endswith("RECORD"):  # pip reads it: no line for what is gone
            data = b"".join(line for line in data.splitlines(keepends=True) if keep(line.decode().split(",")[0]))
        new.writestr(item, data)
os.replace(small, source)
PY
du -sh "$out"
exit $missing
