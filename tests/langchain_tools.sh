#!/usr/bin/env bash
# Runs tools of the real langchain-core as tools of outlast, in an environment of its own.
# Usage: tests/langchain_tools.sh [langchain-core==version]
set -euo pipefail
cd "$(dirname "$0")/.."
venv="${LANGCHAIN_HOME:-.engines-venvs/langchain-core}"
[ -e "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip --disable-pip-version-check --quiet install . "${1:-langchain-core}"
PYTHONPATH=src "$venv/bin/python" tests/langchain_tools.py
