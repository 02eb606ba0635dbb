#!/usr/bin/env bash
# Checks rule files and runs their unit tests in one promtool.
#   scripts/rules.sh PROMTOOL RULES.yaml… -- TESTS.yaml…
set -euo pipefail

promtool=$1
shift
files=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  files+=("$1")
  shift
done
[ $# -gt 0 ] && shift

name="promtool $("$promtool" --version 2>&1 | sed -n 's/^promtool, version \([^ ]*\).*/\1/p')"
if [ ${#files[@]} -eq 0 ] || [ $# -eq 0 ]; then
  echo "rules: rules/*.yaml or rules/tests/*.yaml is empty: nothing was checked" >&2
  exit 1
fi

# promtool prints a line or two for each file that is well; only what is not well is worth reading.
run() { # WHAT COMMAND…
  local what=$1 out
  shift
  if ! out=$("$@" 2>&1); then
    printf '%s\n%s: %s failed\n' "$out" "$name" "$what" >&2
    exit 1
  fi
}
run "check rules" "$promtool" check rules --lint=all --lint-fatal "${files[@]}"
run "test rules" "$promtool" test rules "$@"
echo "$name: ${#files[@]} rule files are valid, $# test files pass"
