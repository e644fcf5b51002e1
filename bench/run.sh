#!/usr/bin/env bash
# `make bench`: needs a C compiler, nginx, taskset, and the load tools (LUNAROUTE_LAB, else ../shared/lab).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lab=${LUNAROUTE_LAB:-../shared/lab}
if [[ ! -f $lab/provider.c ]]; then echo "no load tools: set LUNAROUTE_LAB or put them at ../shared/lab" >&2; exit 1; fi
for program in cc nginx taskset; do
    command -v "$program" >/dev/null || { echo "bench needs $program: install gcc, nginx-light, util-linux" >&2; exit 1; }
done
exec "${PYTHON:-python3}" bench/relay_vs_nginx.py --lab "$lab" "$@"
