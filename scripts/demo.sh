#!/usr/bin/env bash
# A real etcd cluster of three on this machine, watched by etcd-doctor, broken on purpose, and diagnosed.
#
#   FAULTS=0      leave the cluster healthy
#   DURATION=60   end by itself after so many seconds (counted from when everything is up); without it, run until Ctrl-C
#   PROFILE=release  build optimised
#   DOCTOR=path   run this etcd-doctor and build none
#
# Everything is on 127.0.0.1 and in one temporary folder, and ends with the script.
set -euo pipefail
cd "$(dirname "$0")/.."

# What the caller has set for clusters of his own would be taken for settings of this one.
while read -r key; do unset "$key"; done < <(compgen -e | grep "^ETCD" | grep -vx TEST_PEERS)

readonly members=(etcd-1 etcd-2 etcd-3)
readonly quota=$((16 * 1024 * 1024))
# Ports below those that Linux gives to outgoing connections: nobody takes them by chance.
readonly first_port=21379

say() { printf '%s\n' "$*"; }
die() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

# --- what is there at the end: nothing ---------------------------------------------------------------------------

work=''
pids=()
cleanup() {
  trap - EXIT INT TERM HUP
  if [ ${#pids[@]} -gt 0 ]; then
    kill "${pids[@]}" 2>/dev/null || true
    # Time enough for the server to end in good order. A member of a cluster that ends as a whole would wait seconds for
    # somebody to hand over to: its data goes anyway.
    for _ in $(seq 15); do
      kill -0 "${pids[@]}" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
  fi
  [ -z "$work" ] || rm -rf "$work"
}
trap cleanup EXIT
# Ctrl-C is how it is meant to end, once everything has been shown.
interrupted=130
trap 'say ""; exit "$interrupted"' INT
trap 'exit 143' TERM HUP

# --- the pieces --------------------------------------------------------------------------------------------------

# The newest etcd there is: from the cache, downloaded now, or on PATH.
find_etcd() {
  local folder name
  folder=$(scripts/peers.sh --folder)
  scripts/peers.sh etcd-3.5 2>"$work/peers.log" || scripts/peers.sh etcd-3.4 2>>"$work/peers.log" || true
  for name in etcd-3.5 etcd-3.4; do
    if [ -x "$folder/$name/etcd" ] && [ -x "$folder/$name/etcdctl" ]; then
      etcd=$folder/$name/etcd
      etcdctl=$folder/$name/etcdctl
      return
    fi
  done
  if etcd=$(command -v etcd) && etcdctl=$(command -v etcdctl); then
    return
  fi
  sed 's/^/  /' "$work/peers.log" >&2
  die "no etcd could be downloaded and none is on PATH: install etcd and etcdctl 3.4 or newer (https://etcd.io/docs/latest/install/), then run this again"
}

build_doctor() {
  if [ -n "${DOCTOR:-}" ]; then
    doctor=$DOCTOR
    [ -x "$doctor" ] || die "DOCTOR=$doctor is not a program"
    return
  fi
  local profile=${PROFILE:-dev} target=${CARGO_TARGET_DIR:-target}
  say "Building etcd-doctor (cargo build --locked --profile $profile; the first time takes some minutes)"
  cargo build --locked --quiet --profile "$profile" --bin etcd-doctor
  case $profile in
    dev) doctor=$target/debug/etcd-doctor ;;
    *) doctor=$target/$profile/etcd-doctor ;;
  esac
}

port_taken() { # PORT
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Sets `port` to the next free one.
next_port=$first_port
take_port() {
  while port_taken "$next_port"; do
    next_port=$((next_port + 1))
    [ "$next_port" -lt 32000 ] || die "no free port between $first_port and 32000"
  done
  port=$next_port
  next_port=$((next_port + 1))
}

# Starts the members on ports that are free now. Returns 1 when one ended at its start, with its log in `failed_log`.
start_etcd() {
  local i name initial='' client=() peer=()
  for name in "${members[@]}"; do
    take_port
    client+=("$port")
    take_port
    peer+=("$port")
    initial=$initial,$name=http://127.0.0.1:$port
  done
  endpoints='' etcd_pids=()
  for i in "${!members[@]}"; do
    name=${members[i]}
    rm -rf "${work:?}/$name"
    "$etcd" --name "$name" --data-dir "$work/$name" --quota-backend-bytes "$quota" --logger zap \
      --listen-client-urls "http://127.0.0.1:${client[i]}" --advertise-client-urls "http://127.0.0.1:${client[i]}" \
      --listen-peer-urls "http://127.0.0.1:${peer[i]}" --initial-advertise-peer-urls "http://127.0.0.1:${peer[i]}" \
      --initial-cluster "${initial#,}" --initial-cluster-state new --initial-cluster-token "demo-$$" \
      </dev/null >"$work/$name.log" 2>&1 &
    pids+=($!)
    etcd_pids+=($!)
    endpoints=$endpoints,http://127.0.0.1:${client[i]}
  done
  endpoints=${endpoints#,}
  local deadline=$((SECONDS + 60))
  until ctl endpoint health >/dev/null 2>&1; do
    for i in "${!members[@]}"; do
      if ! kill -0 "${etcd_pids[i]}" 2>/dev/null; then
        failed_log=$work/${members[i]}.log
        return 1
      fi
    done
    if [ "$SECONDS" -ge "$deadline" ]; then
      failed_log=$work/${members[0]}.log
      return 1
    fi
    sleep 0.2
  done
}

ctl() {
  ETCDCTL_API=3 "$etcdctl" --endpoints "$endpoints" "$@"
}

write_config() {
  {
    echo "interval: 1s"
    echo "clusters:"
    echo "  - name: demo"
    echo "    endpoints:"
    # shellcheck disable=SC2001 # a line for each of a list
    echo "$endpoints" | sed 's/,/\n/g' | sed 's/^/      - /'
  } >"$work/etcd-doctor.yaml"
}

# Starts the server, on its registered port when that is free, and waits until it is ready.
start_doctor() { # PORT
  url=http://127.0.0.1:$1
  "$doctor" serve --config.file "$work/etcd-doctor.yaml" --web.listen-address "127.0.0.1:$1" \
    --log.level warn </dev/null >"$work/etcd-doctor.log" 2>&1 &
  doctor_pid=$!
  pids+=("$doctor_pid")
  local deadline=$((SECONDS + 30))
  until [ "$(status_of /-/ready)" = 200 ]; do
    failed_log=$work/etcd-doctor.log
    kill -0 "$doctor_pid" 2>/dev/null || return 1
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

# The status code of a GET, by bash alone: curl may be missing.
status_of() { # PATH
  local host=${url#http://} line=''
  if exec 3<>"/dev/tcp/${host%:*}/${host##*:}"; then
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$host" >&3 2>/dev/null || true
    IFS= read -r -t 5 line <&3 || true
    exec 3<&- 3>&-
  fi 2>/dev/null
  line=${line#* }
  echo "${line%% *}"
}

# The report of the running server. Its exit code is the verdict (1 warning, 2 critical), which is no failure here.
report() { # OPTION…
  local code=0
  "$doctor" diagnose --server "$url" "$@" || code=$?
  [ "$code" -le 3 ] || die "etcd-doctor diagnose ended with $code"
}

# Whether a problem is in the running server's diagnosis now. (Coverage gaps name alerts too, without a severity.)
diagnosed() { # ALERT
  local json
  json=$(report -o json 2>/dev/null | tr -d ' \n') || true
  [[ $json == *"\"alert\":\"$1\",\"severity\""* ]]
}

# Ends the demo when a process died that should live.
all_alive() {
  local i
  for i in "${!members[@]}"; do
    kill -0 "${etcd_pids[i]}" 2>/dev/null || fail_with_log "${members[i]} ended by itself" "$work/${members[i]}.log"
  done
  kill -0 "$doctor_pid" 2>/dev/null || fail_with_log "etcd-doctor ended by itself" "$work/etcd-doctor.log"
}

fail_with_log() { # WHAT LOG
  printf '\nThe end of %s:\n' "$(basename "$2")" >&2
  tail -n 20 "$2" | cut -c 1-300 >&2
  die "$1"
}

# Writes values of 256 KiB until etcd refuses: the alarm NOSPACE.
fill_quota() {
  local i out
  head -c 196608 /dev/urandom | base64 -w 0 >"$work/value"
  for i in $(seq 200); do
    if ! out=$(ctl put "demo/$((i % 8))" <"$work/value" 2>&1 >/dev/null); then
      case $out in
        *'space exceeded'*) return 0 ;;
        *) say "  (a write failed, trying on: $(echo "$out" | tail -n 1 | cut -c 1-200))" ;;
      esac
    fi
    all_alive
  done
  die "200 writes of 256 KiB did not fill a quota of $quota bytes"
}

# --- the show ----------------------------------------------------------------------------------------------------

main() {
  local i address started
  work=$(mktemp -d "${TMPDIR:-/tmp}/etcd-doctor-demo.XXXXXX")
  case ${DURATION:-} in *[!0-9]*) die "DURATION is a number of seconds, not '$DURATION'" ;; esac
  build_doctor
  find_etcd

  say "Starting three members of etcd $("$etcd" --version | sed -n 's/^etcd Version: //p'), each with a quota of 16 MiB"
  # Again on other ports when one was taken in between.
  for i in 1 2 3; do
    if start_etcd; then break; fi
    kill "${etcd_pids[@]}" 2>/dev/null || true
    wait "${etcd_pids[@]}" 2>/dev/null || true
    if [ "$i" -eq 3 ] || ! grep -q 'address already in use' "$failed_log"; then
      fail_with_log "the etcd cluster did not start" "$failed_log"
    fi
  done

  write_config
  for i in 1 2 3; do
    address=9379
    if [ "$i" -gt 1 ] || port_taken 9379; then
      take_port
      address=$port
    fi
    if start_doctor "$address"; then break; fi
    kill "$doctor_pid" 2>/dev/null || true
    if [ "$i" -eq 3 ] || ! grep -qi 'in use' "$failed_log"; then
      fail_with_log "etcd-doctor did not start" "$failed_log"
    fi
  done
  started=$SECONDS

  say ""
  say "  page        $url/"
  say "  metrics     $url/metrics"
  say "  diagnosis   $url/api/v1/diagnosis"
  say "  health      $url/api/v1/health"
  for i in "${!members[@]}"; do
    say "  ${members[i]}      $(echo "$endpoints" | cut -d, -f$((i + 1)))"
  done
  say ""
  report

  if [ "${FAULTS:-1}" != 0 ]; then
    say ""
    say "Filling the quota: large values, until etcd refuses to write"
    fill_quota
    local deadline=$((SECONDS + 60))
    until diagnosed EtcdQuotaAlarmFull; do
      all_alive
      [ "$SECONDS" -lt "$deadline" ] || {
        report
        fail_with_log "the diagnosis did not name the full quota within a minute" "$work/etcd-doctor.log"
      }
      sleep 0.5
    done
    say ""
    report
    say ""
    say "To mend it, type the commands above; $etcdctl is the etcdctl for it."
  fi

  say ""
  interrupted=0
  if [ -n "${DURATION:-}" ]; then
    say "Running until $DURATION seconds are over."
    while [ $((SECONDS - started)) -lt "$DURATION" ]; do
      all_alive
      sleep 0.5
    done
  else
    say "Running until Ctrl-C."
    while :; do
      all_alive
      sleep 0.5
    done
  fi
}

main
