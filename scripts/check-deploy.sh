#!/usr/bin/env bash
# Checks the files in deploy/ with the tools of the places that they are for, one function a place.
#
#   scripts/check-deploy.sh            all of them
#   scripts/check-deploy.sh PLACE…     some: systemd
#
# What a machine lacks is said and counts as a failure, except systemd's own tool: a machine without systemd is no place
# to install it on.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly places=(systemd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'deploy: %s\n' "$*"; }
fail() {
  printf 'deploy: %s\n' "$*" >&2
  exit 1
}

# Exposure as `systemd-analyze security` counts it, times ten: what it is, with each drop-in, and a little room for other
# releases of systemd, which count differently. 20 is the bound for the unit itself.
check_systemd() {
  if ! command -v systemd-analyze >/dev/null || ! systemd-analyze security --help 2>&1 | grep -q -- --offline; then
    say "systemd: NOT CHECKED: there is no systemd-analyze 250 or newer here (Debian's package systemd has it)"
    return
  fi
  local unit=$work/etcd-doctor.service dropin limit
  for dropin in none member.conf root-member.conf; do
    limit=20
    [ "$dropin" != root-member.conf ] || limit=23
    rm -rf "$unit" "$unit.d"
    # The program is not installed here; whether it starts is not what is asked.
    sed 's,^ExecStart=/usr/bin/etcd-doctor,ExecStart=/bin/true,' deploy/systemd/etcd-doctor.service >"$unit"
    if [ "$dropin" != none ]; then
      mkdir "$unit.d"
      cp "deploy/systemd/$dropin" "$unit.d/"
    fi
    # It ends well where it only warns, as of a key that it does not know.
    systemd-analyze verify --man=no "$unit" >"$work/verify" 2>&1 || true
    ! grep -F etcd-doctor.service "$work/verify" >&2 || fail "systemd: see above"
    systemd-analyze security --offline=true --no-pager --threshold="$limit" "$unit" >"$work/security" ||
      { cat "$work/security" >&2; fail "systemd: with the drop-in $dropin the exposure is above $limit tenths"; }
    say "systemd, drop-in $dropin: $(grep -o 'exposure level.*: [0-9.]*' "$work/security" | sed 's/ for.*:/:/')"
  done
}

[ $# -gt 0 ] || set -- "${places[@]}"
for place in "$@"; do
  case " ${places[*]} " in
    *" $place "*) "check_$place" ;;
    *) fail "there is no place named $place; there are: ${places[*]}" ;;
  esac
done
