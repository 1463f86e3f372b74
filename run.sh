#!/bin/sh
# Runs a file of requests through an LLM API:
#
#     sh run.sh [requests.jsonl [results.jsonl]] [--flag value ...]
#
# Which API: PROVIDER=deepseek sh run.sh; without PROVIDER the first one below whose key is in the
# environment; without any key a local endpoint, whose answers are canned. Without a file it takes
# the provider's own from examples/. Run it again to go on where it stopped. Further flags are those of
# api_request_parallel_processor.py. It needs Python 3.11 or newer, and keeps its packages in .venv.

set -eu
script=run.sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/scripts/environment.sh"

# ---- Settings: change them here, or set them in the environment (MAX_ATTEMPTS=8 sh run.sh).

PROVIDER=${PROVIDER-}                               # a name below; local needs no key
REQUEST_URL=${REQUEST_URL-}                         # empty: the provider's; alone, its host chooses
MAX_REQUESTS_PER_MINUTE=${MAX_REQUESTS_PER_MINUTE-} # a number or none; empty: below, or found out
MAX_TOKENS_PER_MINUTE=${MAX_TOKENS_PER_MINUTE-}     # the same
MAX_CONCURRENT_REQUESTS=${MAX_CONCURRENT_REQUESTS-} # in flight; empty: found out
SECONDS_TO_SLEEP_EACH_LOOP=${SECONDS_TO_SLEEP_EACH_LOOP-} # between two requests; empty: see below
MAX_ATTEMPTS=${MAX_ATTEMPTS:-5}                     # of one request
TOKEN_ENCODING_NAME=${TOKEN_ENCODING_NAME-}         # empty: by each request's model
LOGGING_LEVEL=${LOGGING_LEVEL:-INFO}                # DEBUG, INFO, WARNING, ERROR
PREPARED_PYTHON=${PREPARED_PYTHON-}                 # a Python that has requirements.txt, for .venv

# ---- The files, and which provider.

case ${1-} in
    -h | --help)
        sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
        exit
        ;;
esac
requests='' results='' example='' canned=''
if [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; then
    requests=$1
    shift
fi
if [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; then
    results=$1
    shift
fi

keys='OPENAI_API_KEY, DASHSCOPE_API_KEY, DEEPINFRA_API_KEY, DEEPSEEK_API_KEY,'
keys="$keys or AZURE_OPENAI_API_KEY with AZURE_OPENAI_ENDPOINT"

chosen() { # PROVIDER WHY
    PROVIDER=$1
    say "provider $PROVIDER, since $2"
}

PROVIDER=$(printf %s "$PROVIDER" | tr 'A-Z-' 'a-z_')
# Of a key it is only asked whether it is set: `sh -x run.sh` shows all the rest.
if [ -n "$PROVIDER$REQUEST_URL" ]; then
    :
elif [ -n "${OPENAI_API_KEY:+set}" ]; then
    chosen openai 'OPENAI_API_KEY is set'
elif [ -n "${DASHSCOPE_API_KEY:+set}" ]; then
    chosen aliyun 'DASHSCOPE_API_KEY is set'
elif [ -n "${DEEPINFRA_API_KEY:+set}" ]; then
    chosen deepinfra 'DEEPINFRA_API_KEY is set'
elif [ -n "${DEEPSEEK_API_KEY:+set}" ]; then
    chosen deepseek 'DEEPSEEK_API_KEY is set'
elif [ -n "${AZURE_OPENAI_API_KEY:+set}" ] && [ -n "${AZURE_OPENAI_ENDPOINT-}" ]; then
    chosen azure 'AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT are set'
elif [ -n "${BNU_API_KEY:+set}" ] && [ -n "${BNU_URL-}" ]; then
    chosen lab_gateway 'BNU_API_KEY and BNU_URL are set'
else
    say "no key is set, so canned answers come from this machine and cost nothing;"
    say "for real ones set $keys"
    PROVIDER=local
fi

need() { # VALUE VARIABLE EXAMPLE
    [ -n "$1" ] || give_up "PROVIDER=$PROVIDER needs $2, as in $2=$3"
}

# ---- The providers. Limits are an account's: yours are on the page that each block names, and are
# found out unless they are set. What a block sets holds for every account.

case $PROVIDER in
    openai) # https://platform.openai.com/settings/organization/limits
        : "${REQUEST_URL:=https://api.openai.com/v1}"
        example=openai
        ;;
    aliyun | dashscope | qwen | model_studio | bailian) # https://help.aliyun.com/zh/model-studio/rate-limit
        # Abroad: https://dashscope-intl.aliyuncs.com/compatible-mode/v1
        : "${REQUEST_URL:=https://dashscope.aliyuncs.com/compatible-mode/v1}"
        example=aliyun
        ;;
    deepinfra) # https://deepinfra.com/docs/advanced/rate-limits: requests in flight
        : "${REQUEST_URL:=https://api.deepinfra.com/v1/openai}"
        : "${MAX_REQUESTS_PER_MINUTE:=none}"
        : "${MAX_TOKENS_PER_MINUTE:=none}"
        example=deepinfra
        ;;
    deepseek) # https://api-docs.deepseek.com/quick_start/rate_limit: requests in flight
        : "${REQUEST_URL:=https://api.deepseek.com}"
        : "${MAX_REQUESTS_PER_MINUTE:=none}"
        : "${MAX_TOKENS_PER_MINUTE:=none}"
        example=deepseek
        ;;
    azure | azure_openai) # the deployment's page in the portal
        : "${REQUEST_URL:=${AZURE_OPENAI_ENDPOINT-}}"
        need "$REQUEST_URL" AZURE_OPENAI_ENDPOINT https://NAME.openai.azure.com
        example=azure
        ;;
    lab_gateway | bnu | local_gateway) # run_bnu.sh is the short way here
        : "${REQUEST_URL:=${BNU_URL-}}"
        : "${MAX_REQUESTS_PER_MINUTE:=50}"
        : "${MAX_TOKENS_PER_MINUTE:=10000}"
        : "${SECONDS_TO_SLEEP_EACH_LOOP:=0.05}"
        example=lab_gateway
        ;;
    openai_compatible | generic | vllm | ollama | lm_studio | one_api | litellm)
        need "$REQUEST_URL" REQUEST_URL http://localhost:8000/v1
        example=openai_compatible
        ;;
    local)
        : "${MAX_REQUESTS_PER_MINUTE:=none}"
        : "${MAX_TOKENS_PER_MINUTE:=none}"
        example=openai
        ;;
esac

case $PROVIDER in # {url} becomes the local endpoint's address
    local)
        canned=yes PROVIDER=openai_compatible REQUEST_URL='{url}/v1'
        ;;
    local_gateway)
        canned=yes PROVIDER=lab_gateway REQUEST_URL='{url}' BNU_API_KEY=demo-user
        export BNU_API_KEY
        ;;
    lab_gateway | bnu)
        need "$REQUEST_URL" BNU_URL http://HOST:PORT/gpt
        ;;
esac

if [ -z "$requests" ]; then
    [ -n "$PROVIDER" ] || give_up 'REQUEST_URL is set without PROVIDER: name a requests file as well'
    requests=$here/examples/${example:-$PROVIDER}.jsonl
fi
if [ -n "$canned" ] && [ -n "$results" ]; then
    say "$results gets canned answers: remove it before a real run"
elif [ -n "$canned" ] && [ "$requests" != - ]; then
    results=${requests%.gz} # not where real answers go, or they would not be asked for any more
    results=${results%.jsonl}_canned_results.jsonl
fi

# ---- Go. A key is not among the flags: everybody could see it there.

[ -z "$PROVIDER" ] || set -- --provider "$PROVIDER" "$@"
[ -z "$REQUEST_URL" ] || set -- --request_url "$REQUEST_URL" "$@"
[ -z "$results" ] || set -- --save_filepath "$results" "$@"
[ -z "$MAX_REQUESTS_PER_MINUTE" ] || set -- --max_requests_per_minute "$MAX_REQUESTS_PER_MINUTE" "$@"
[ -z "$MAX_TOKENS_PER_MINUTE" ] || set -- --max_tokens_per_minute "$MAX_TOKENS_PER_MINUTE" "$@"
[ -z "$MAX_CONCURRENT_REQUESTS" ] || set -- --max_concurrent_requests "$MAX_CONCURRENT_REQUESTS" "$@"
[ -z "$SECONDS_TO_SLEEP_EACH_LOOP" ] ||
    set -- --seconds_to_sleep_each_loop "$SECONDS_TO_SLEEP_EACH_LOOP" "$@"
[ -z "$TOKEN_ENCODING_NAME" ] || set -- --token_encoding_name "$TOKEN_ENCODING_NAME" "$@"
set -- --max_attempts "$MAX_ATTEMPTS" --logging_level "$LOGGING_LEVEL" "$@"
set -- "$here/api_request_parallel_processor.py" --requests_filepath "$requests" "$@"

python=$PREPARED_PYTHON
[ -n "$python" ] || ready_environment "$here/.venv" "$here/requirements.txt"
PYTHONPATH=$here # whatever folder we are called from
export PYTHONPATH
if [ -n "$canned" ]; then
    exec "$python" -P -m request_engine.local_endpoint -- "$python" "$@"
fi
exec "$python" "$@"
