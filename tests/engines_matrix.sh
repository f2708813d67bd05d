#!/usr/bin/env bash
# Runs the tests of engines and of local models against the real libraries: the newest release of each and an older
# one, each in an environment of its own, as they exclude one another.
# Usage: tests/engines_matrix.sh [package | package==version ...]
set -uo pipefail
cd "$(dirname "$0")/.."
home="${ENGINES_HOME:-.engines-venvs}"
python="${PYTHON:-python3}"
torch="${TORCH:-torch==2.13.0}" # beside transformers; on Linux the index gives a CUDA build of several GB
wanted=("$@")
[ $# -gt 0 ] || wanted=(openai openai==1.99.1 lm15 lm15==1.2.0 llm llm==0.33 any-llm-sdk any-llm-sdk==1.28.0
  litellm litellm==1.109.3 transformers transformers==5.0.0)
failed=0
for package in "${wanted[@]}"; do
  name="${package%%=*}"
  venv="$home/${package//[^A-Za-z0-9.-]/_}"
  beside=()
  [ "$name" = transformers ] && beside=("$torch" llguidance)
  if [ ! -e "$venv/.ready" ]; then
    rm -rf "$venv"
    "$python" -m venv "$venv" || exit 1
    if ! "$venv/bin/python" -m pip --disable-pip-version-check --quiet install . "$package" "${beside[@]}" \
      pytest pytest-asyncio 2> "$venv/pip.log"; then
      echo "FAILED  $package: it cannot be installed (see $venv/pip.log)"
      failed=1
      continue
    fi
    touch "$venv/.ready"
  fi
  version=$("$venv/bin/python" -c "from importlib.metadata import version; print(version('$name'))")
  tests=(tests/lms/engines)
  [ "$name" = llm ] && tests+=(tests/compat tests/tracing/imports/test_real_llm.py)
  if PYTHONPATH=src:. PYTEST_ADDOPTS="-o addopts= -q --strict-markers --import-mode=importlib" \
    "$venv/bin/python" tests/again.py "${tests[@]}" > "$venv/tests.log" 2>&1; then
    echo "passed  $name $version: $(grep -E '^[0-9]+ (passed|failed)' "$venv/tests.log" | head -1)"
    grep -A4 '^NOT STEADY' "$venv/tests.log"
  else
    echo "FAILED  $name $version (all of it in $venv/tests.log):"
    tail -100 "$venv/tests.log"
    failed=1
  fi
done
exit $failed
