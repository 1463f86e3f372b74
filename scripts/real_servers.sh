#!/bin/sh
# Runs jobs against real servers on this machine, a LiteLLM proxy and llama.cpp's server:
#
#     sh scripts/real_servers.sh [pytest's arguments]
#
# It takes some five minutes, and at first as long again and more to build llama.cpp, which needs cmake
# and a C++ compiler; without them that part is left out. LLAMA_SERVER=/path/to/llama-server takes
# one that is there. The servers are kept in .venv-real-servers; no model is downloaded.

set -eu
script=real_servers.sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/scripts/environment.sh"

servers=$here/.venv-real-servers
llama_cpp=llama_cpp_python==0.3.36 # whose source package holds llama.cpp as a whole

# Nothing but what pip brings: no pages for browsers, no fetching while it builds.
build_llama_server() {
    work=$servers/llama.cpp
    rm -rf "$work"
    mkdir "$work"
    say "building llama.cpp's server from $llama_cpp, once; this takes some minutes"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --no-binary llama-cpp-python --dest "$work" "$llama_cpp"
    tar -xzf "$work"/llama_cpp_python-*.tar.gz -C "$work"
    cmake -S "$work"/llama_cpp_python-*/vendor/llama.cpp -B "$work/build" >"$work/log" 2>&1 \
        -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 -DCMAKE_CXX_FLAGS=-O1 \
        -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAMA_OPENSSL=OFF \
        -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_APP=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF &&
        cmake --build "$work/build" --target llama-server >>"$work/log" 2>&1 \
            --parallel "$(getconf _NPROCESSORS_ONLN)" ||
        give_up "llama.cpp could not be built, see $work/log"
    cp "$work/build/bin/llama-server" "$servers/llama-server"
    rm -rf "$work"
}

ready_environment "$servers" "$here/tests/real_servers/requirements.txt"
REAL_SERVERS_PYTHON=$python
if [ -z "${LLAMA_SERVER:-}" ]; then
    if [ ! -x "$servers/llama-server" ]; then
        if command -v cmake >/dev/null && command -v c++ >/dev/null; then
            build_llama_server
        else
            say "going on without llama.cpp: there is no cmake or no c++"
        fi
    fi
    if [ -x "$servers/llama-server" ]; then
        LLAMA_SERVER=$servers/llama-server
    fi
fi
export REAL_SERVERS_PYTHON LLAMA_SERVER="${LLAMA_SERVER:-}"

ready_environment "$here/.venv-tests" "$here/requirements.txt" "$here/tests/requirements.txt"
cd "$here"
exec "$python" -m pytest tests/real_servers -rs "$@"
