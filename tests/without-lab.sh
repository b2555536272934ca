#!/usr/bin/env bash
# Shows that the program, the policy pack and the component tests stand without lab/: a copy of the tree
# without it, an environment of its own, and the tests that need no server.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard -- . ':!lab' ':!tests/lab' ':!tests/e2e' |
  tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory="$copy"
uv=$(ls "$PWD"/.tools/uv-*/bin/uv)
cd "$copy"
[ ! -e lab ]
"$uv" sync --quiet --frozen --python "${PYTHON:-python3}"
.venv/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("lab") is not None)'
.venv/bin/pytest -q -n 2 tests/components tests/policies
