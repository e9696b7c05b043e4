#!/usr/bin/env bash
# Measures the studio on this machine's GPU, in at most ten minutes: facts, kernels, the product, memory, loading, speed,
# answers, and an old GPU's paths. Eight parts, each in a process of its own; one that fails does not stop the next.
#
#   bash bench/first_card.sh OUT              # OUT/card.jsonl, and bench/results/card-<name>.json; 1 if a part failed
#   bash bench/first_card.sh OUT --pretend    # the same code on a machine without a GPU, on a pretended one: no figures,
#                                             # and card-pretend.json in OUT
#   PYTHON=python3.12 bash bench/first_card.sh OUT --parts memory,speed
#
# It also runs with torch 2.11 and no network: bench/gather_wheels.sh gathers what such a machine lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-$(test -x .venv/bin/python && echo .venv/bin/python || echo python3)}
exec env HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false "$python" -m bench.first_card "$@"
