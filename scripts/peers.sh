#!/usr/bin/env bash
# Brings the real programs that the tests, the demo and the lints run against, without installing anything: Debian's
# packages, downloaded as an ordinary user and unpacked into a cache folder, so that no service starts.
#
#   scripts/peers.sh            all that the tests need
#   scripts/peers.sh NAME…      some: etcd-3.4 etcd-3.5 prometheus-2 prometheus-3 alertmanager strace chromium;
#                               kustomize docker-compose, which only check-deploy.sh needs
#   scripts/peers.sh --folder   print the folder that they are in
#
# Each ends up as FOLDER/NAME/PROGRAM (etcd-3.5/etcdctl, prometheus-2/promtool). Those already there cost nothing.
set -euo pipefail

folder=${TEST_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/etcd-doctor/peers}
readonly folder
readonly names=(etcd-3.4 etcd-3.5 prometheus-2 prometheus-3 alertmanager strace chromium)
readonly others=(kustomize docker-compose)

say() { printf 'peers: %s\n' "$*" >&2; }

# What a peer is: the version wanted (as a prefix), the Debian suites that have it, best first, the packages, and the
# programs in them. The machine's own release is tried last, for what these suites no longer or not yet have.
describe() { # NAME
  case $1 in
    etcd-3.4) want=3.4. suites='bookworm' packages='etcd-server etcd-client' programs='etcd etcdctl' ;;
    etcd-3.5) want=3.5. suites='forky trixie' packages='etcd-server etcd-client' programs='etcd etcdctl' ;;
    prometheus-2) want=2. suites='bookworm' packages=prometheus programs='prometheus promtool' ;;
    prometheus-3) want=3. suites='forky' packages='prometheus promtool' programs='prometheus promtool' ;;
    alertmanager) want='' suites='bookworm' packages=prometheus-alertmanager programs='alertmanager prometheus-alertmanager amtool' ;;
    strace) want='' suites='bookworm' packages='strace libunwind8' programs=strace ;;
    chromium) want='' suites='' packages=chromium programs=chromium ;;
    kustomize) want=5. suites='trixie forky' packages=kustomize programs=kustomize ;;
    docker-compose) want=2. suites='trixie forky' packages=docker-compose programs=docker-compose ;;
    *)
      say "there is no peer named $1; there are: ${names[*]} ${others[*]}"
      exit 2
      ;;
  esac
}

present() { # NAME
  local program
  describe "$1"
  for program in $programs; do
    [ -x "$folder/$1/$program" ] || return 1
  done
}

# Where this machine gets its own release from: peers come from the same mirror.
find_mirror() {
  local id='' codename=''
  # shellcheck source=/dev/null
  [ -r /etc/os-release ] && id=$(. /etc/os-release && echo "${ID:-}") && codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  own_suite=$codename
  case $id in
    debian) components='main' keyring=/usr/share/keyrings/debian-archive-keyring.gpg ;;
    ubuntu) components='main universe' keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg ;;
    *) return 1 ;;
  esac
  distribution=$id
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  mkdir -p "$work/none/lists/partial"
  # A list folder of our own, still empty, so that neither root nor the machine's package lists are needed.
  mirror=$(apt-get -o Dir::State="$work/none" -o Dir::Cache="$work/none" --print-uris update 2>/dev/null |
    sed -n "s,^'\(.*\)/dists/$codename/\(In\)\?Release'.*,\1,p" | head -n 1)
  [ -n "$mirror" ]
}

# apt with a state of its own that knows one suite and nothing of the machine's packages, so that suites never mix. The
# index of a mirror that lags may have expired: its signature is verified all the same, and an older peer will do.
apt_in() { # SUITE PROGRAM ARGUMENT…
  local suite=$1 program=$2 state=$work/$1
  shift 2
  "$program" -qq -o Dir::State="$state" -o Dir::State::status=/dev/null -o Dir::Cache="$state/cache" \
    -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null -o APT::Sandbox::User= \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 "$@" </dev/null
}

# Reads a suite's index, once a run. Fails when the mirror does not have it.
open_suite() { # SUITE
  local state=$work/$1
  if [ ! -e "$state/opened" ]; then
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    local options=''
    [ -e "$keyring" ] && options="[signed-by=$keyring] "
    echo "deb $options$mirror $1 $components" >"$state/sources.list"
    if apt_in "$1" apt-get update >"$state/log" 2>&1 && apt_in "$1" apt-cache policy >/dev/null 2>&1 &&
      [ -n "$(find "$state/lists" -name '*_Packages*' -print -quit)" ]; then
      echo yes >"$state/opened"
    else
      echo no >"$state/opened"
    fi
  fi
  [ "$(cat "$state/opened")" = yes ]
}

version_in() { # SUITE PACKAGE
  apt_in "$1" apt-cache show --no-all-versions "$2" 2>/dev/null | sed -n 's/^Version: \([0-9]*:\)\?//p' | head -n 1
}

# Puts FOLDER/PROGRAM before the unpacked tree in FOLDER/root.
launch() { # NAME PROGRAM FOLDER
  case $2 in
    # Needs a library which a machine may lack: it came with it.
    strace)
      cat >"$3/$2" <<'END'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
LD_LIBRARY_PATH=$(echo "$root"/usr/lib/*-linux-*/) exec "$root/usr/bin/strace" "$@"
END
      ;;
    # Debian's reads its templates from one place of the machine. It sees its own files there, and nobody else does; where
    # nothing may be mounted, root makes a link.
    alertmanager)
      cat >"$3/$2" <<'END'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
program=$root/usr/bin/prometheus-alertmanager templates=/usr/share/prometheus/alertmanager
[ -e "$templates/default.tmpl" ] && exec "$program" "$@"
for how in -m -rm; do
  unshare "$how" mount --bind "$root/usr/share" /usr/share 2>/dev/null || continue
  # shellcheck disable=SC2016 # the inner shell expands them
  exec unshare "$how" sh -c 'mount --bind "$0/usr/share" /usr/share && exec "$0/usr/bin/prometheus-alertmanager" "$@"' "$root" "$@"
done
mkdir -p "${templates%/*}" && ln -sfn "$root$templates" "$templates" && exec "$program" "$@"
END
      ;;
    docker-compose)
      ln -s root/usr/libexec/docker/cli-plugins/docker-compose "$3/$2"
      return
      ;;
    *)
      ln -s "root/usr/bin/$2" "$3/$2"
      return
      ;;
  esac
  chmod +x "$3/$2"
}

# Unpacks one peer from one suite. Everything happens in a folder that is renamed at the end: a half-made one is
# never taken for the real thing.
fetch() { # NAME SUITE
  local name=$1 suite=$2 made=$work/made version package program ask
  open_suite "$suite" || return 1
  # shellcheck disable=SC2086 # `packages` is a list
  set -- $packages
  version=$(version_in "$suite" "$1")
  case ${version:-none} in
    none) return 1 ;;
    "$want"*) ;;
    *) return 1 ;;
  esac
  say "fetching $name: $1 $version"
  rm -rf "$made" "$work/debs"
  mkdir -p "$made/root" "$work/debs"
  for package in "$@"; do
    (cd "$work/debs" && apt_in "$suite" apt-get download "$package" >>"$work/$suite/log" 2>&1) || return 1
  done
  for package in "$work"/debs/*.deb; do
    dpkg-deb -x "$package" "$made/root"
  done
  for program in $programs; do
    launch "$name" "$program" "$made"
    ask=--version
    case $program in etcdctl | kustomize) ask=version ;; esac
    if ! ETCDCTL_API=3 "$made/$program" $ask >"$work/version.log" 2>&1 </dev/null; then
      say "$program $version does not run here: $(head -n 1 "$work/version.log")"
      return 1
    fi
  done
  rm -rf "${folder:?}/$name"
  mv "$made" "$folder/$name"
}

# A browser needs a hundred libraries of its own release: this one is installed, where there is none yet.
bring_chromium() {
  local browser found='' as_root=()
  find_browser() {
    for browser in chromium chromium-browser google-chrome; do
      found=$(command -v "$browser") && "$found" --version >/dev/null 2>&1 && return 0
    done
    return 1
  }
  if ! find_browser && command -v apt-get >/dev/null; then
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    say "installing chromium"
    install() {
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-liberation \
        </dev/null >"$work/chromium.log" 2>&1
    }
    # A new machine has no package lists.
    install || { "${as_root[@]}" apt-get update -qq </dev/null >/dev/null 2>&1 || true; install; } ||
      tail -n 3 "$work/chromium.log" >&2
  fi
  if ! find_browser; then
    say "chromium: none that runs is on PATH and it could not be installed"
    say "  install chromium, or link one as $folder/chromium/chromium"
    return 1
  fi
  rm -rf "${folder:?}/chromium" && mkdir -p "$folder/chromium" && ln -s "$found" "$folder/chromium/chromium"
}

bring() { # NAME
  local name=$1 suite tried=' '
  present "$name" && return 0
  if [ "$name" = chromium ]; then
    bring_chromium
    return
  fi
  if [ "$name" = strace ] && command -v strace >/dev/null; then
    rm -rf "${folder:?}/strace" && mkdir -p "$folder/strace" && ln -s "$(command -v strace)" "$folder/strace/strace"
    return 0
  fi
  if [ -z "${mirror_looked_for:-}" ]; then
    mirror_looked_for=yes
    find_mirror || mirror=''
  fi
  if [ -n "${mirror:-}" ]; then
    [ "$distribution" = debian ] || suites=''
    for suite in $suites $own_suite; do
      case $tried in *" $suite "*) continue ;; esac
      tried="$tried$suite "
      fetch "$name" "$suite" && return 0
    done
    say "$name: no usable version ${want:+$want* }in the suites$tried"
  else
    say "$name: no Debian or Ubuntu package mirror is configured on this machine"
  fi
  say "  put ${programs// / and } into $folder/$name/ by hand"
  return 1
}

if [ "${1:-}" = --folder ]; then
  echo "$folder"
  exit 0
fi
[ $# -gt 0 ] || set -- "${names[@]}"

missing=()
for name in "$@"; do
  present "$name" || missing+=("$name")
done
[ ${#missing[@]} -eq 0 ] && exit 0

mkdir -p "$folder"
# One at a time: two builds on one machine share the folder.
if command -v flock >/dev/null; then
  exec 9>"$folder/.lock"
  flock 9
fi
work=$(mktemp -d "$folder/.fetching.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0
for name in "${missing[@]}"; do
  bring "$name" || failed=1
done
exit $failed
