# ---- asking the site ---------------------------------------------------------------------------------------------
# Tokens and links reach curl by its standard input: arguments are shown to every user of this computer.

header() { # name file: its value in the last answer; that of `status` is the answer's code
  local line value='' cr=$'\r'
  shopt -s nocasematch # in a subshell, as all call it
  while IFS= read -r line; do
    line=${line%"$cr"}
    if [[ $line == HTTP/* ]]; then
      value=''
      if [ "$1" = status ]; then value=${line#* }; value=${value%% *}; fi
    fi
    if [[ $line == "$1":* ]]; then value=${line#*:}; value=${value# }; fi
  done 2> /dev/null < "$2"
  printf '%s\n' "$value"
}

again() { # what happened; counts in the caller's `tries`
  local seconds=$((tries > 5 ? 30 : (1 << tries) - 1))
  tries=$((tries + 1))
  if [ "$tries" -gt "$retries" ]; then halt 4 "$1. No byte came in $retries attempts: try again later, with the same command."; fi
  say "$1; trying again$([ $seconds -eq 0 ] || echo " in $seconds s ($tries of $retries)")"
  if [ $seconds -gt 0 ]; then pause $seconds; fi
}

waited=0
be_patient() { # file-of-headers reason: waits as long as the site asks; fails where that is too long
  local seconds
  seconds=$(header Retry-After "$1")
  case "$seconds" in '' | *[!0-9]* | ??????????*) seconds=60 ;; esac
  if [ "$seconds" -lt 1 ]; then seconds=1; fi
  waited=$((waited + seconds))
  asks="The site asks to wait $seconds s; --max-wait allows $max_wait in all."
  if [ $waited -gt "$max_wait" ]; then return 1; fi
  say "$2: the site asks to wait $seconds s; waiting"
  pause "$seconds"
}

api() { # file [curl options]: the site's lines into the file, asked for until they are whole
  local out="$1" tries=0 code
  shift
  while :; do
    rm -f "$out"
    printf 'url = "%s/api/v1/plain/"\nheader = "Authorization: Bearer %s"\n' "$SITE" "$TOKEN" |
      curl -sS --globoff --connect-timeout 30 --max-time 600 -H 'Accept: text/plain' -K - -D "$out.head" -o "$out" \
        -w '%{http_code}' "$@" > "$out.code" 2> "$out.err" &
    wait_child
    code=$(cat "$out.code")
    if [ "$status/$code/$(tail -n 1 "$out" 2> /dev/null)" = 0/200/end ]; then return; fi
    case "$status/$code" in
      23/*) halt 6 "$work cannot be written to: is the disk full?" ;;
      51/* | 58/* | 60/* | 77/*) halt 4 "$(one_line < "$out.err")" ;;
      0/429) be_patient "$out.head" "$(header X-Error-Code "$out.head")" || halt 8 "$(one_line < "$out") $asks" ;;
      0/3??) halt 3 "$SITE answers from another place, $(header Location "$out.head"). Fetch this script again there." ;;
      0/408 | 0/5??) again "$SITE does not answer ($(header X-Error-Code "$out.head") HTTP $code)" ;;
      0/4??) halt 3 "$(one_line < "$out")$([ "$(header X-Error-Code "$out.head")" ] || echo " (HTTP $code, and not from the site)")" ;;
      0/*) again "$SITE: what came was cut short, or is not the site's answer" ;;
      *) again "$SITE does not answer ($(one_line < "$out.err"))" ;;
    esac
  done
}

sign() { # index…: fresh links for these files, in one call
  local i line
  for i in "$@"; do printf '%s\n' "${paths[$i]}"; done > "$work/wanted.$worker"
  api "$work/links.$worker" --data-urlencode "release=$slug" --data-urlencode "revision=$revision" \
    --data-urlencode "paths@$work/wanted.$worker"
  while IFS= read -r line; do # they come in the order of the names
    case "$line" in
      'link http'*)
        [ $# -gt 0 ] || halt 5 "the site gave more links than it was asked for. Run the script again."
        printf '%s\n' "${line#link }" > "$work/url.$1"
        shift
        ;;
    esac
  done < "$work/links.$worker"
  [ $# -eq 0 ] || halt 5 "the site left out links to $# files. Run the script again."
}

# ---- what there is -----------------------------------------------------------------------------------------------

is_hex() { case "$1" in *[!0-9a-f]* | '') return 1 ;; esac; [ ${#1} -eq "$2" ]; }
is_number() { case "$1" in *[!0-9]* | '' | ???????????????????*) return 1 ;; esac; }

# No file may leave its folder, and no name may hold what a terminal or the manifest's form would change.
is_path() { case "/$1/" in *[!\ -~]* | *//* | */./* | */../* | */.weighbridge/*) return 1 ;; esac; }

read_manifest() { # file: into the arrays paths, sizes, sums, layouts, chunks
  local line rest odd=''
  count=0 slug='' repo='' revision='' chunk_size='' signature=''
  paths=() sizes=() sums=() layouts=() chunks=()
  while IFS= read -r line; do
    rest=${line#* }
    case "$line" in
      'release '*) slug=$rest ;;
      'repo '*) repo=$rest ;;
      'revision '*) revision=$rest ;;
      'chunk_size '*) chunk_size=$rest ;;
      'signature '*) signature=$rest ;;
      'file '*)
        sums[count]=${rest%% *} rest=${rest#* }
        sizes[count]=${rest%% *} rest=${rest#* }
        layouts[count]=${rest%% *} paths[count]=${rest#* } chunks[count]=''
        if ! is_hex "${sums[count]}" 64 || ! is_number "${sizes[count]}" || ! is_path "${paths[count]}"; then odd=$line; fi
        count=$((count + 1))
        ;;
      'chunk '*)
        is_hex "$rest" 64 && [ $count -gt 0 ] || { odd=$line; continue; }
        chunks[count - 1]="${chunks[count - 1]} $rest"
        ;;
    esac
  done < "$1"
  case "$slug" in '' | *[!A-Za-z0-9_-]*) odd="release $slug" ;; esac
  is_hex "$revision" 40 && is_number "$chunk_size" && [ $((chunk_size % 65536)) -eq 0 ] && [ "$chunk_size" -gt 0 ] || odd="revision $revision"
  [ -z "$odd" ] || halt 5 "the site's list of files holds something that it never should: $(printf '%s' "$odd" | one_line)"
}

# The bytes that the site signed, made again from what this run works by, so that nothing else can be what was signed.
manifest() {
  local i chunk comma path
  printf '{"chunk_size":%s,"files":[' "$chunk_size"
  for ((i = 0; i < count; i++)); do
    [ $i -eq 0 ] || printf ,
    printf '{"chunks":[' && comma=''
    for chunk in ${chunks[$i]}; do printf '%s"%s"' "$comma" "$chunk" && comma=,; done
    path=$(printf '%s' "${paths[$i]}" | sed 's/[\\"]/\\&/g')
    printf '],"path":"%s","sha256":"%s","size":%s}' "$path" "${sums[$i]}" "${sizes[$i]}"
  done
  printf '],"format":"weighbridge-manifest/1","repo_id":"%s","revision":"%s"}' "$repo" "$revision"
}

signed() { # public-key signature file
  printf -- '-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n' "$1" > "$work/public.pem"
  printf '%s\n' "$2" | openssl base64 -d -A > "$work/signature" 2> /dev/null
  openssl pkeyutl -verify -pubin -inkey "$work/public.pem" -rawin -in "$3" -sigfile "$work/signature" > /dev/null 2>&1
}

check_signature() {
  manifest > "$work/manifest.json"
  # Can the openssl that is here do it at all? The second example of RFC 8032 tells.
  printf r > "$work/example"
  if signed MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw= \
    kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA== "$work/example"; then
    signed "$PUBLIC_KEY" "$signature" "$work/manifest.json" ||
      halt 5 "the manifest is not signed with the key in this script. Fetch the script again from $SITE; if that does not help, tell its managers."
    say "the manifest of $repo, revision ${revision:0:12}, is signed by $SITE"
  else
    say "the signature of the manifest could not be checked: that needs OpenSSL 3 (every file is checked against the manifest all the same)"
  fi
}

fits() { # path: whether the options choose it
  local found='' n
  if [ $only_count -eq 0 ]; then found=yes; fi
  # shellcheck disable=SC2254 # globs are wanted
  for ((n = 0; n < only_count; n++)); do case "$1" in ${only[$n]}) found=yes ;; esac; done
  # shellcheck disable=SC2254
  for ((n = 0; n < exclude_count; n++)); do case "$1" in ${exclude[$n]}) found='' ;; esac; done
  [ "$found" ]
}

choose() { # indices of the chosen files into `chosen`, and their bytes into `bytes`
  local i original=0 safetensors=0
  chosen='' chosen_count=0 bytes=0
  for ((i = 0; i < count; i++)); do
    case "${layouts[$i]}" in original) original=$((original + sizes[i])) ;; safetensors) safetensors=$((safetensors + sizes[i])) ;; esac
    if [ "$layout" ] && [ "${layouts[$i]}" != both ] && [ "${layouts[$i]}" != "$layout" ]; then continue; fi
    if fits "${paths[$i]}"; then chosen="$chosen $i" chosen_count=$((chosen_count + 1)) bytes=$((bytes + sizes[i])); fi
  done
  if { [ "$layout" = original ] && [ $original -eq 0 ]; } || { [ "$layout" = safetensors ] && [ $safetensors -eq 0 ]; }; then
    halt 2 "$repo has no files in the layout $layout."
  fi
  [ $chosen_count -gt 0 ] || halt 2 "none of the $count files of $repo fits --only and --exclude; --list shows them."
  if [ -z "$layout" ] && [ $original -gt 0 ] && [ $safetensors -gt 0 ]; then
    say "$repo has two layouts, original ($(human $original)) and safetensors ($(human $safetensors)); --layout takes one of them"
  fi
}

