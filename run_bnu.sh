#!/bin/sh
# Runs a file of requests through the lab's gateway:
#
#     zsh run_bnu.sh [requests.jsonl [results.jsonl]] [--flag value ...]
#
# The gateway's address and your name there come from the environment, best from your shell's profile:
#
#     export BNU_URL=http://HOST:PORT/gpt      # or /claude
#     export BNU_API_KEY=...
#
# Without both, a gateway on this machine gives canned answers. The rest is as in run.sh.

set -eu

# ---- Settings: change them here, or set them in the environment. run.sh has the others.

MAX_REQUESTS_PER_MINUTE=${MAX_REQUESTS_PER_MINUTE:-50}
MAX_TOKENS_PER_MINUTE=${MAX_TOKENS_PER_MINUTE:-10000}
SECONDS_TO_SLEEP_EACH_LOOP=${SECONDS_TO_SLEEP_EACH_LOOP:-0.05}

case ${1-} in
    -h | --help)
        sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
        exit
        ;;
esac

PROVIDER=lab_gateway
REQUEST_URL=${BNU_URL-}
if [ -z "$REQUEST_URL${BNU_API_KEY:+set}" ]; then
    why='BNU_URL and BNU_API_KEY are not set, so canned answers come from this machine'
    (echo "run_bnu.sh: $why" >&2) || : # nobody may read it
    PROVIDER=local_gateway
fi

export MAX_REQUESTS_PER_MINUTE MAX_TOKENS_PER_MINUTE SECONDS_TO_SLEEP_EACH_LOOP PROVIDER REQUEST_URL
exec sh "$(dirname -- "$0")/run.sh" "$@"
