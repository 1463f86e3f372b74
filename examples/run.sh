#!/bin/sh
# Runs an example pipeline against a local endpoint of its own, whose answers are canned and cost nothing:
#
#     sh examples/run.sh NAME
#
# NAME is judge, rewards, extraction, corpus or dataframe: the files beside this one. For a real service
# change the line SERVICE at the top of that file. LATENCY=2 in the environment makes every answer take
# two seconds. It needs Python 3.11 or newer, and keeps its packages in .venv-examples.

set -eu
script=examples/run.sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/scripts/environment.sh"

example=${1-}
example=${example##*/}
example=${example%.py}
case $example in
    judge) latency=0.5 trouble='--fault=filter=0.05' ;; # some answers that the service will not judge
    rewards) latency=0.1 trouble= ;;
    extraction) latency=0.88 trouble= ;;
    corpus) latency=0.05 trouble= ;;
    dataframe) latency=0.5 trouble= ;;
    *) give_up 'name one of judge, rewards, extraction, corpus and dataframe' ;;
esac
shift

python=${PREPARED_PYTHON-}
[ -n "$python" ] || ready_environment "$here/.venv-examples" "$here/requirements.txt" "$here/examples/requirements.txt"
PYTHONPATH=$here # whatever folder we are called from
export PYTHONPATH
exec "$python" -P -m request_engine.local_endpoint --latency "${LATENCY:-$latency}" $trouble -- \
    "$python" "$here/examples/$example.py" "$@"
