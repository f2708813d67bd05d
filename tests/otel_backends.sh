#!/usr/bin/env bash
# Sends spans to real backends and reads them back through their interfaces, each backend in an environment of its own;
# and holds our names to the package that OpenTelemetry's instrumentations write with.
# Usage: tests/otel_backends.sh [mlflow | phoenix ...]    (mlflow alone when none is named)
set -uo pipefail
cd "$(dirname "$0")/.."
home="${OTEL_HOME:-.otel-venvs}"
python="${PYTHON:-python3}"
wanted=("$@")
[ $# -gt 0 ] || wanted=(mlflow)
failed=0
for backend in "${wanted[@]}"; do
  case "$backend" in
    # The server without what it needs for machine learning: 360 MB where all of mlflow has 850.
    mlflow) packages=(mlflow-skinny==3.17.2 flask flask-cors sqlalchemy alembic graphene huey aiohttp pandas) ;;
    phoenix) packages=(arize-phoenix) ;;
    *) echo "no backend $backend: mlflow or phoenix"; exit 2 ;;
  esac
  venv="$home/$backend"
  if [ ! -e "$venv/.ready" ]; then
    rm -rf "$venv"
    "$python" -m venv "$venv" || exit 1
    if ! "$venv/bin/python" -m pip --disable-pip-version-check --quiet install '.[otel]' "${packages[@]}" \
      pytest pytest-asyncio openinference-semantic-conventions 'opentelemetry-util-genai>=1.3b0' 2> "$venv/pip.log"; then
      echo "FAILED  $backend: it cannot be installed (see $venv/pip.log)"
      failed=1
      continue
    fi
    touch "$venv/.ready"
  fi
  if PYTHONPATH=src:. "$venv/bin/python" -m pytest -o addopts= -q --strict-markers --import-mode=importlib \
    -W "ignore::DeprecationWarning" tests/tracing/otel > "$venv/tests.log" 2>&1; then
    echo "passed  $backend: $(tail -1 "$venv/tests.log")"
  else
    echo "FAILED  $backend: $(tail -1 "$venv/tests.log") (see $venv/tests.log)"
    failed=1
  fi
done
exit $failed
