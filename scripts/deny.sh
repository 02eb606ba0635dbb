#!/usr/bin/env bash
# The licence, source and advisory policy of deny.toml, by cargo-deny. Installed on the first run into the cache folder.
set -euo pipefail

# Pinned: what it asks of deny.toml changes between versions.
readonly version=0.20.2

cache=${XDG_CACHE_HOME:-$HOME/.cache}/etcd-doctor
tool=$cache/cargo-deny-$version/bin/cargo-deny

if [ ! -x "$tool" ]; then
  echo "deny: installing cargo-deny $version into $cache (about a minute, once)"
  mkdir -p "$cache"
  build=$(mktemp -d "$cache/.cargo-deny.XXXXXX")
  trap 'rm -rf "$build"' EXIT
  # Unoptimised: it runs for a second and would compile for minutes. A target folder of its own, so that the project's
  # is not filled; settings for this project's build have no say in it.
  if ! env -u RUSTFLAGS CARGO_TARGET_DIR="$build/target" CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_STRIP=symbols \
    cargo install --quiet --locked --profile dev --no-default-features --root "$build/root" "cargo-deny@$version" \
    >"$build/log" 2>&1; then
    cat "$build/log" >&2
    echo "deny: cargo-deny $version could not be installed: see above" >&2
    exit 1
  fi
  rm -rf "$cache/cargo-deny-$version"
  mv "$build/root" "$cache/cargo-deny-$version"
fi

"$tool" --log-level error check --hide-inclusion-graph bans licenses sources

# The advisory database is a git repository that is fetched at run time. A machine that cannot reach it can still check
# the rest, but must not look as if it had checked this.
if git_error=$(timeout 60 "$tool" --log-level error fetch db 2>&1); then
  "$tool" --log-level error check --hide-inclusion-graph --disable-fetch advisories
else
  {
    echo "deny: ======================================================================================"
    echo "deny: ADVISORIES WERE NOT CHECKED: the advisory database could not be fetched, because:"
    printf '%s\n' "$git_error" | grep -v '^ *$' | tail -n 3 | sed 's/^/deny:   /'
    echo "deny: ======================================================================================"
  } >&2
fi
