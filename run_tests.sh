#!/bin/sh
# Runs the tests:
#
#     sh run_tests.sh [pytest's arguments]
#
# It needs Python 3.11 or newer, and keeps its packages in .venv-tests. Each processor takes a file at
# a time; `-n 0` runs them one after the other.

set -eu
script=run_tests.sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/scripts/environment.sh"

ready_environment "$here/.venv-tests" "$here/requirements.txt" "$here/tests/requirements.txt"
cd "$here"
exec "$python" -m pytest -n auto --dist loadfile "$@"
