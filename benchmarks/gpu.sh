#!/usr/bin/env bash
# Everything that wants a GPU in at most nine minutes, also without network: benchmarks/gpu.sh --help, benchmarks/README.md.
# PYTHON names the interpreter: one whose torch has CUDA; without it that of .venv, else python3.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
exec "$python" -P benchmarks/gpu.py "$@"
