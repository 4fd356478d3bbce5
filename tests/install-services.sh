#!/bin/sh
# Installs what the tests need from Debian (a real Postgres, jq, Prometheus, Chromium) when it is not there. Does nothing otherwise.
# With the argument `postgres` only that, which is what the tests on a cluster need.
set -eu
packages=""
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || packages="$packages postgresql"
if [ "${1:-all}" = all ]; then
    command -v jq >/dev/null 2>&1 || packages="$packages jq"
    command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1 || packages="$packages prometheus"
    # the tests build the controller image with them
    if [ "$(id -u)" = 0 ]; then
        command -v buildah >/dev/null 2>&1 || packages="$packages buildah"
        command -v debootstrap >/dev/null 2>&1 || packages="$packages debootstrap"
    fi
    command -v chromium >/dev/null 2>&1 || packages="$packages chromium"
    # a browser without a Korean font draws boxes
    fc-list :lang=ko 2>/dev/null | grep -q . || packages="$packages fonts-noto-cjk"
fi
[ -z "$packages" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "the tests need:$packages; install them with this system's package manager" >&2
    exit 1
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
# Debian's package would start a server of its own; the tests start theirs.
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$as_root apt-get install -y -qq --no-install-recommends $packages
