#!/usr/bin/env bash
# Retrain on tonight's data, and promote the new model only if its evidence is better.
#
#   nightly.sh bot.yaml serving/
#
# The same as nightly.py, with the command alone. A failed run ends the script with its exit code; nothing is promoted then.
# Exit code 4: trained, and not promoted.
set -euo pipefail
spec=$1 serving=$2

field() { # field PATH: one value of the JSON document on stdin
    python3 -c 'import functools, json, sys
print(functools.reduce(lambda value, key: value[int(key) if isinstance(value, list) else key], sys.argv[1].split("."), json.load(sys.stdin)))' "$1"
}
loss() { studio runs show "$1" --json | field report.sets.0.metrics.loss.tuned.value; }

trained=$(studio train "$spec" --json)
run=$(field id <<< "$trained")
verdict=$(studio runs show "$run" --json | field report.verdict.kind)
if [ "$verdict" != better ]; then
    echo "not promoted: $run is $verdict"
    exit 4
fi
if [ -e "$serving/current" ]; then
    before=$(basename "$(realpath "$serving/current/../..")")
    now=$(loss "$run") then=$(loss "$before")
    if ! python3 -c 'import sys; sys.exit(not float(sys.argv[1]) < float(sys.argv[2]))' "$now" "$then"; then
        echo "not promoted: held-out loss $now, that of $before is $then"
        exit 4
    fi
fi
studio export "$run" --to merged --json > /dev/null # exit code 1 if it is not verified
folder=$(studio runs show "$run" --json | field folder)
mkdir -p "$serving"
ln -sfn "$folder/exports/merged" "$serving/.current"
mv -T "$serving/.current" "$serving/current"
echo "promoted $run"
