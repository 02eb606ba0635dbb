#!/usr/bin/env bash
# Installs what the build needs and says nothing when it is all there. Debian and Ubuntu, as root or through sudo;
# elsewhere it names what is missing and ends with an error.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }

# What is needed and the Debian package that brings it. etcd-client compiles etcd's protobuf definitions, which import
# google/protobuf/descriptor.proto: protobuf-compiler alone does not bring that file.
missing=()
need() { # PACKAGE: the test that follows failed
  missing+=("$1")
}
command -v cc >/dev/null || need gcc
command -v make >/dev/null || need make
command -v curl >/dev/null || need curl
# What checks deploy/ is of Python's packages. The module venv is there without what it needs to make one.
python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
command -v protoc >/dev/null || need protobuf-compiler
has_descriptor() {
  local include
  for include in "${PROTOC_INCLUDE:-}" /usr/include /usr/local/include /opt/homebrew/include; do
    [ -n "$include" ] && [ -e "$include/google/protobuf/descriptor.proto" ] && return 0
  done
  return 1
}
has_descriptor || need libprotobuf-dev

if ! command -v cargo >/dev/null; then
  say "no cargo on PATH: install Rust 1.95 or newer, as https://www.rust-lang.org/tools/install says"
  exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  say "this is not a Debian or Ubuntu machine. Install what these Debian packages hold, then run this again:"
  say "  ${missing[*]}"
  say "(libprotobuf-dev: the folder google/protobuf/ with descriptor.proto; set PROTOC_INCLUDE to the folder above it)"
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    say "as root, run: apt-get install ${missing[*]}"
    exit 1
  fi
  as_root=(sudo)
fi

say "installing ${missing[*]}"
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" \
    </dev/null >"$log" 2>&1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A new machine has no package lists, and an old one stale ones: fetch them when the first attempt fails. A source that
# cannot be reached is no reason to give up: whether the packages can be had is what counts.
if ! install; then
  "${as_root[@]}" apt-get update -qq </dev/null >/dev/null 2>&1 || true
  if ! install; then
    cat "$log" >&2
    say "apt-get install ${missing[*]} failed: see above"
    exit 1
  fi
fi
