# ---- many at once ------------------------------------------------------------------------------------------------

work_through() { # number: files that nobody else took, one after another
  local i
  worker=$1 child='' pids=''
  trap give_up TERM
  trap '' INT HUP
  for i in $chosen; do
    if [ -f "$work/halt" ] || ! kill -0 $$ 2> /dev/null; then break; fi
    if [ ! -f "$work/done.$i" ] && mkdir "$work/claim.$i" 2> /dev/null; then fetch "$i"; fi
  done
  rm -f "$work/active.$worker"
}

tally() { # sets whole, came (bytes that are here) and had (those of files that were here before)
  local i
  whole=0 came=0 had=0
  for i in $chosen; do
    if [ -f "$work/done.$i" ]; then
      whole=$((whole + 1)) came=$((came + sizes[i]))
      if [ "$(cat "$work/done.$i")" = had ]; then had=$((had + sizes[i])); fi
    else
      came=$((came + $(size_of "$dest/${paths[$i]}.part")))
    fi
  done
}

show_progress() {
  local rate='' left='' seconds=$((SECONDS - began)) fresh
  tally
  fresh=$((came - had - before))
  if [ $seconds -gt 0 ] && [ $fresh -gt $seconds ]; then
    rate=", $(human $((fresh / seconds)))/s"
    left=$(((bytes - came) / (fresh / seconds)))
    if [ $left -ge 5400 ]; then left=", about $(((left + 1800) / 3600)) h left"; elif [ $left -ge 90 ]; then left=", about $(((left + 30) / 60)) min left"; else left=", about $left s left"; fi
  fi
  printf '%s%s of %s files whole, %s of %s%s%s%s' "${terminal:+$'\r'}" $whole $chosen_count "$(human $came)" "$(human $bytes)" "$rate" "$left" "${terminal:+$'\033[K'}"
  [ "$terminal" ] || echo
}

run_workers() { # how many
  local n pid alive=yes next=$((SECONDS + every))
  for ((n = 1; n <= $1; n++)); do
    : > "$work/active.$n"
    work_through $n &
    pids="$pids $!"
  done
  while [ "$alive" ] && [ ! -f "$work/halt" ]; do
    nap
    alive=''
    for pid in $pids; do if kill -0 "$pid" 2> /dev/null; then alive=yes; fi; done
    if [ $SECONDS -ge $next ]; then show_progress; next=$((SECONDS + every)); fi
  done
  stop_workers
  rm -rf "$work"/active.* "$work"/claim.*
  if [ -f "$work/halt" ]; then
    { read -r n; read -r reason; } < "$work/halt"
    halt "$n" "$reason"
  fi
}

warn_of_space() {
  local free
  # shellcheck disable=SC2046 # fields are wanted
  set -- $(df -Pk "$dest" 2> /dev/null | tail -n 1)
  free=${4:-}
  if is_number "$free" && [ $((free * 1024)) -lt $((bytes - came)) ]; then
    say "warning: $(human $((bytes - came))) are still to come, and $dest has room for $(human $((free * 1024)))"
  fi
}

fetch_all() {
  local i wanted=''
  dest="$to/$slug"
  mkdir -p "$dest" 2> /dev/null || halt 1 "the folder $dest cannot be made."
  take_lock "$dest"
  tally
  before=$came began=$SECONDS
  for i in $chosen; do if [ "$(size_of "$dest/${paths[$i]}")" -ne "${sizes[$i]}" ]; then wanted="$wanted $i"; fi; done
  say "$repo: $chosen_count files, $(human $bytes), to $dest"
  warn_of_space
  # shellcheck disable=SC2086 # numbers
  if [ "$wanted" ]; then sign $wanted; fi
  run_workers "$jobs"
  tally
  while [ $whole -lt $chosen_count ]; do # the site wanted fewer at once
    i=$whole
    run_workers 1
    tally
    [ $whole -gt "$i" ] || halt 1 "a process ended without a word. Run the script again."
  done
  rm -rf "$lock" "$work"/url.* "$work"/done.* && lock=''
  verified=$((verified + chosen_count))
}

list_files() {
  local i
  say "$repo, revision $revision: $chosen_count files, $(human $bytes)"
  for i in $chosen; do printf '%16s  %-11s  %s\n' "${sizes[$i]}" "${layouts[$i]}" "${paths[$i]}"; done
}

list_releases() {
  local kind name bytes files repo
  api "$work/releases" -G
  while read -r kind name bytes files repo; do
    if [ "$kind" = release ] && is_number "$bytes" && is_number "$files"; then
      printf '%-24s  %3s files  %10s  %s\n' "$name" "$files" "$(human "$bytes")" "$(printf '%s' "$repo" | one_line)"
    fi
  done < "$work/releases"
}

# ---- from the options to the end ---------------------------------------------------------------------------------

bad_option() { printf 'stopped: %s See: bash %s --help\n' "$1" "$0" >&2; exit 2; }

releases=() only=() exclude=() release_count=0 only_count=0 exclude_count=0
asked_revision=main layout='' to=. jobs=4 list='' overwrite='' max_wait=3600 retries=10
while [ $# -gt 0 ]; do
  case "$1" in
    --help | -h) usage; exit 0 ;;
    --list) list=yes; shift; continue ;;
    --overwrite) overwrite=yes; shift; continue ;;
    --release | --revision | --only | --exclude | --layout | --to | --jobs | --max-wait | --retries) ;;
    *) bad_option "$1 is not an option." ;;
  esac
  [ $# -ge 2 ] || bad_option "$1 needs a value."
  case "$1" in
    --release) releases[release_count]=$2 release_count=$((release_count + 1)) ;;
    --only) only[only_count]=$2 only_count=$((only_count + 1)) ;;
    --exclude) exclude[exclude_count]=$2 exclude_count=$((exclude_count + 1)) ;;
    --revision) asked_revision=$2 ;;
    --layout) case "$2" in original | safetensors) layout=$2 ;; *) bad_option "--layout is original or safetensors." ;; esac ;;
    --to) to=$2 ;;
    --jobs) is_number "$2" && [ "$2" -ge 1 ] && [ "$2" -le 64 ] || bad_option "--jobs is a number from 1 to 64."; jobs=$2 ;;
    --max-wait) is_number "$2" || bad_option "--max-wait is a number of seconds."; max_wait=$2 ;;
    --retries) is_number "$2" && [ "$2" -ge 1 ] || bad_option "--retries is a number from 1."; retries=$2 ;;
  esac
  shift 2
done
if [ $release_count -eq 0 ] && [ "$RELEASE" ]; then releases[0]=$RELEASE release_count=1; fi
case "$to" in /* | ./* | ../*) ;; . | ..) ;; *) to="./$to" ;; esac # a name may begin with a dash
if [ "$to" != / ]; then to=${to%/}; fi
every=30
if [ "$terminal" ]; then every=1; fi

for tool in curl dd wc tr sed mktemp uname df cut head tail cat; do
  command -v $tool > /dev/null 2>&1 || { echo "stopped: this needs the program $tool, which is not on this computer." >&2; exit 1; }
done
if command -v sha256sum > /dev/null 2>&1; then sha256=(sha256sum)
elif command -v shasum > /dev/null 2>&1; then sha256=(shasum -a 256)
elif command -v openssl > /dev/null 2>&1; then sha256=(openssl dgst -sha256)
else echo "stopped: this needs sha256sum, shasum or openssl, and none is on this computer." >&2; exit 1; fi

TOKEN=${WEIGHBRIDGE_TOKEN:-$KEY}
unset WEIGHBRIDGE_TOKEN # no process that we start needs it
if [ -z "$TOKEN" ] && [ -t 0 ]; then
  printf 'Token with the scope "download" (from your account page on %s): ' "$SITE" >&2
  IFS= read -rs TOKEN
  echo >&2
fi
[ "$TOKEN" ] || bad_option "A token is needed: put it in the environment as WEIGHBRIDGE_TOKEN."
case "$TOKEN" in *[!A-Za-z0-9_.:-]*) bad_option "WEIGHBRIDGE_TOKEN holds characters that no token has." ;; esac

trap leave EXIT
trap 'interrupted 130' INT
trap 'interrupted 143' TERM HUP
work=$(mktemp -d "${TMPDIR:-/tmp}/weighbridge.XXXXXX") || { work='' && halt 1 "there is no place for a temporary folder in ${TMPDIR:-/tmp}."; }

if [ $release_count -eq 0 ]; then
  list_releases
  [ "$list" ] || bad_option "Choose among these with --release."
  exit 0
fi
verified=0
for ((number = 0; number < release_count; number++)); do
  api "$work/manifest" -G --data-urlencode "release=${releases[$number]}" --data-urlencode "revision=$asked_revision"
  read_manifest "$work/manifest"
  check_signature
  choose
  if [ "$list" ]; then list_files; else fetch_all; fi
done
if [ -z "$list" ]; then say "all $verified files verified"; fi
