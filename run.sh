#!/bin/sh
# Runs a file of requests through an LLM API:
#
#     sh run.sh [requests.jsonl [results.jsonl]] [--flag value ...]
#     sh run.sh --list_providers
#
# Which API: PROVIDER=deepseek sh run.sh; without PROVIDER the first of the list whose key is in the
# environment; without any key a local endpoint, whose answers are canned. Without a file it takes
# the provider's own from examples/. Run it again to go on where it stopped. Further flags are those of
# api_request_parallel_processor.py. It needs Python 3.11 or newer, and keeps its packages in .venv.

set -eu
script=run.sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/scripts/environment.sh"

# ---- Settings: change them here, or set them in the environment (MAX_ATTEMPTS=8 sh run.sh).

PROVIDER=${PROVIDER-}                               # a name of the list, local, or file.py:Class
REQUEST_URL=${REQUEST_URL-}                         # empty: the provider's; alone, its host chooses
MAX_REQUESTS_PER_MINUTE=${MAX_REQUESTS_PER_MINUTE-} # a number or none; empty: below, or found out
MAX_TOKENS_PER_MINUTE=${MAX_TOKENS_PER_MINUTE-}     # the same
MAX_CONCURRENT_REQUESTS=${MAX_CONCURRENT_REQUESTS-} # in flight; empty: found out
SECONDS_TO_SLEEP_EACH_LOOP=${SECONDS_TO_SLEEP_EACH_LOOP-} # between two requests; empty: see below
MAX_ATTEMPTS=${MAX_ATTEMPTS:-5}                     # of one request
TOKEN_ENCODING_NAME=${TOKEN_ENCODING_NAME-}         # empty: by each request's model
LOGGING_LEVEL=${LOGGING_LEVEL:-INFO}                # DEBUG, INFO, WARNING, ERROR
PREPARED_PYTHON=${PREPARED_PYTHON-}                 # a Python that has requirements.txt, for .venv

# ---- Limits that hold for every account. The others are an account's: they are found out unless they
# are set, and stand on these pages:
#
#     openai       https://platform.openai.com/settings/organization/limits
#     azure        the deployment's page in the portal
#     anthropic    https://platform.claude.com/docs/en/api/rate-limits
#     google       https://ai.google.dev/gemini-api/docs/rate-limits
#     aliyun       https://help.aliyun.com/zh/model-studio/rate-limit
#     deepinfra    https://deepinfra.com/docs/advanced/rate-limits: requests in flight
#     deepseek     https://api-docs.deepseek.com/quick_start/rate_limit: requests in flight
#     mistral      https://admin.mistral.ai/plateforme/limits
#     moonshot     https://platform.moonshot.ai/docs/pricing/limits
#     openrouter   https://openrouter.ai/docs/api-reference/limits
#     groq         https://console.groq.com/settings/limits
#     together     https://docs.together.ai/docs/rate-limits
#     fireworks    https://docs.fireworks.ai/guides/quotas_usage/account-quotas
#     xai          https://docs.x.ai/developers/rate-limits
#     siliconflow  https://docs.siliconflow.cn/en/userguide/rate-limits/rate-limit-and-upgradation
#     any other    its console

set_limits() { # NAME, and none where the service limits only what is in flight
    case $1/$2 in
        deepinfra/* | local/* | */none)
            : "${MAX_REQUESTS_PER_MINUTE:=none}"
            : "${MAX_TOKENS_PER_MINUTE:=none}"
            ;;
        lab_gateway/*) # run_bnu.sh is the short way here
            : "${MAX_REQUESTS_PER_MINUTE:=50}"
            : "${MAX_TOKENS_PER_MINUTE:=10000}"
            : "${SECONDS_TO_SLEEP_EACH_LOOP:=0.05}"
            ;;
    esac
}

# ---- The files, and a Python.

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

python=$PREPARED_PYTHON
[ -n "$python" ] || ready_environment "$here/.venv" "$here/requirements.txt"
PYTHONPATH=$here # whatever folder we are called from
export PYTHONPATH
case ${1-} in
    --list[_-]providers) exec "$python" "$here/api_request_parallel_processor.py" "$@" ;;
esac

# ---- The provider. What is asked of a key is whether it is set: `sh -x run.sh` shows all the rest.

ask_providers() { # [NAME], and get a line for each: its name, base URL, limits and key variable
    "$python" "$here/scripts/ask_providers.py" "$@"
}

own_url() { # NAME: the URL from the environment, where every user has one of their own
    case $1 in
        azure) printf %s "${AZURE_OPENAI_ENDPOINT-}" ;;
        lab_gateway) printf %s "${BNU_URL-}" ;;
    esac
}

need_url() { # NAME BASE_URL
    [ -n "$REQUEST_URL" ] || REQUEST_URL=$(own_url "$1")
    [ -z "$REQUEST_URL" ] && [ "$2" = - ] || return 0
    case $1 in
        azure) wanted='AZURE_OPENAI_ENDPOINT, as in AZURE_OPENAI_ENDPOINT=https://NAME.openai.azure.com' ;;
        vertex) wanted='REQUEST_URL, as in https://HOST/v1/projects/PROJECT/locations/LOCATION' ;;
        lab_gateway) wanted='BNU_URL, as in BNU_URL=http://HOST:PORT/gpt' ;;
        *) wanted='REQUEST_URL, as in REQUEST_URL=http://localhost:8000/v1' ;;
    esac
    give_up "PROVIDER=$1 needs $wanted"
}

choose_by_key() {
    keyed=$(ask_providers)
    while read -r name url _limits variable; do
        if [ "$url" = - ]; then
            url=$(own_url "$name")
        fi
        if [ -n "$url" ]; then
            PROVIDER=$name
            say "provider $name, since $variable is set"
            return
        fi
    done <<END
$keyed
END
    say "no key is set, so canned answers come from this machine and cost nothing;"
    say "for real ones set OPENAI_API_KEY, or another one that sh run.sh --list_providers names"
    PROVIDER=local
}

endpoints='' # with --endpoints a file of them says where requests go
for argument; do
    case $argument in
        --endpoints | --endpoints=*) endpoints=yes ;;
    esac
done
[ -n "$PROVIDER$REQUEST_URL$endpoints" ] || choose_by_key
case $PROVIDER in
    *.py | *.py:*) example=${PROVIDER%.py*}.jsonl ;; # a file of the user's own
    *) PROVIDER=$(printf %s "$PROVIDER" | tr 'A-Z-' 'a-z_') ;;
esac
case $PROVIDER in # {url} becomes the local endpoint's address
    local)
        set_limits local -
        canned=yes PROVIDER=openai_compatible REQUEST_URL='{url}/v1' example=$here/examples/openai.jsonl
        ;;
    local_gateway)
        set_limits lab_gateway -
        canned=yes PROVIDER=lab_gateway REQUEST_URL='{url}' BNU_API_KEY=demo-user
        example=$here/examples/lab_gateway.jsonl
        export BNU_API_KEY
        ;;
    '' | *.py | *.py:*) ;;
    *)
        known=$(ask_providers "$PROVIDER")
        read -r name url limits _variable <<END
$known
END
        if [ -n "$name" ]; then # else the door says which names there are
            PROVIDER=$name
            need_url "$name" "$url"
            set_limits "$name" "$limits"
        fi
        example=$here/examples/$PROVIDER.jsonl
        ;;
esac

if [ -z "$requests" ]; then
    [ -z "$endpoints" ] || give_up '--endpoints is given: name a requests file as well'
    [ -n "$PROVIDER" ] || give_up 'REQUEST_URL is set without PROVIDER: name a requests file as well'
    requests=$example
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

if [ -n "$canned" ]; then
    exec "$python" -P -m request_engine.local_endpoint -- "$python" "$@"
fi
exec "$python" "$@"
