#!/bin/sh
# Locks what the images hold, with hashes, for Python 3.11 on Linux: sh images/lock.sh
# Needs uv. The CPU image takes torch from an index of CPU wheels, so its lock leaves torch and CUDA out.
set -eu
cd "$(dirname "$0")/.."
torch=$(sed -n 's/^TORCH  *?= *//p' Makefile)
lock() {
    uv pip compile pyproject.toml --quiet --no-header --no-annotate --generate-hashes \
        --python-version 3.11 --python-platform x86_64-manylinux_2_28 "$@"
}
lock --output-file images/controller/requirements.lock
echo "$torch" | lock --extra trial --extra objects --constraints /dev/stdin --output-file images/trial/requirements-cuda.lock
awk '/^[a-z]/ { skip = /^(torch|triton|nvidia-|cuda-)/ } !skip' images/trial/requirements-cuda.lock \
    > images/trial/requirements-cpu.lock
