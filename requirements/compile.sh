#!/bin/sh
# Compiles the pinned, hashed requirement files from pyproject.toml. Needs uv; writes no registry address.
# run.txt: production; demo.txt: plus embedded servers; dev.txt: plus test and lint tools.
set -eu
cd "$(dirname "$0")/.."
compile() {
    out=$1; shift
    uv pip compile pyproject.toml --extra build "$@" --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file "requirements/$out.txt"
}
compile run
compile demo --extra demo
compile dev --extra demo --extra dev
