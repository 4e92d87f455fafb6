# Set-up shared by the scripts: system packages, the virtual environment, the VM image. Source it.
# shellcheck shell=bash

# Without kept byte code every start compiles the engine and the desktop anew.
unset PYTHONDONTWRITEBYTECODE

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$repo/.venv

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() { printf 'cove: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# names NAME...: the packages that scripts/packages/NAME.txt lists.
names() {
  local list
  for list in "$@"; do sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$repo/scripts/packages/$list.txt"; done | sort -u
}

installed() {
  local status
  status=$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) && [ "$status" = 'install ok installed' ]
}

# packages NAME...: install what the lists name and this machine lacks.
packages() {
  if [ "$(uname)" = Darwin ]; then
    command -v brew >/dev/null || fail 'Homebrew is missing. Install it, then run this again.'
    command -v qemu-system-x86_64 >/dev/null || brew install qemu
    command -v python3.11 >/dev/null || command -v python3 >/dev/null || brew install python@3.11
    return
  fi
  command -v apt-get >/dev/null ||
    fail "this needs a Debian or Ubuntu. Install by hand: $(names "$@" | tr '\n' ' ')"
  local missing=() name
  while read -r name; do
    installed "$name" || available_elsewhere "$name" || missing+=("$name")
  done < <(names "$@")
  [ ${#missing[@]} = 0 ] && return
  say "Install ${#missing[@]} system packages: ${missing[*]}"
  as_root apt-get update -q >/dev/null || say 'apt-get update failed; trying with the lists at hand'
  # A newer Ubuntu calls some libraries NAMEt64.
  local wanted=()
  for name in "${missing[@]}"; do
    if apt-cache show "$name" >/dev/null 2>&1; then wanted+=("$name")
    elif apt-cache show "${name}t64" >/dev/null 2>&1; then wanted+=("${name}t64")
    else say "no package $name here; going on without it"; fi
  done
  [ ${#wanted[@]} = 0 ] && return
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "${wanted[@]}" >/dev/null ||
    fail "apt could not install: ${wanted[*]}. See its message above."
}

# A docker command from elsewhere (Docker's own packages, a copy in /usr/local) serves as well as docker.io.
available_elsewhere() {
  case $1 in
    docker.io) command -v docker >/dev/null ;;
    *t64) false ;;
    *) installed "$1t64" ;;
  esac
}

python_for_venv() {
  local name
  for name in python3.11 python3.12 python3.13 python3; do
    command -v "$name" >/dev/null || continue
    "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    echo "$name"
    return
  done
  fail 'Python 3.11 or newer with venv is missing. Install python3 and python3-venv.'
}

# environment NAME: the virtual environment with requirements/NAME.txt in it (dev holds host, host holds guest).
environment() {
  local name=$1 stamp=$venv/.requirements want
  want=$(cat "$repo/requirements/$name.txt" | sha256sum | cut -d' ' -f1)
  [ -x "$venv/bin/python" ] && grep -qx "$name $want" "$stamp" 2>/dev/null && return
  # dev contains host and guest: nothing to do where it stands already, of the same locks.
  if [ -x "$venv/bin/python" ] && [ "$name" != dev ] && [ -f "$stamp" ]; then
    local dev
    dev=$(sha256sum <"$repo/requirements/dev.txt" | cut -d' ' -f1)
    grep -qx "dev $dev" "$stamp" && return
  fi
  [ -x "$venv/bin/python" ] || {
    say 'Make the virtual environment'
    "$(python_for_venv)" -m venv "$venv" || fail "could not make $venv"
  }
  say "Install the Python packages of requirements/$name.txt"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes \
    -r "$repo/requirements/$name.txt" || fail "pip could not install requirements/$name.txt; see its message above."
  { grep -v "^$name " "$stamp" 2>/dev/null || true; echo "$name $want"; } >"$stamp.new"
  mv "$stamp.new" "$stamp"
}

arch() {
  case $(uname -m) in
    arm64 | aarch64) echo aarch64 ;;
    *) echo x86_64 ;;
  esac
}

# image: the VM image of this machine's architecture, built when it is missing or older than its sources.
image() {
  "$repo/scripts/build-vm" --arch "$(arch)"
}
