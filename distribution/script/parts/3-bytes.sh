# ---- bytes here --------------------------------------------------------------------------------------------------

size_of() { if [ -f "$1" ]; then wc -c < "$1" | tr -d ' '; else echo 0; fi; }

cut_to() { dd if=/dev/null of="$1" bs=1 seek="$2" 2> /dev/null; } # file bytes: what stands behind them goes

hash_of() { # file: sets hash
  "${sha256[@]}" < "$1" > "$work/hash.$worker" & wait_child
  read_hash
}

hash_of_chunk() { # file number: sets hash
  dd if="$1" bs=65536 skip=$(($2 * chunk_size / 65536)) count=$((chunk_size / 65536)) 2> /dev/null | "${sha256[@]}" > "$work/hash.$worker" & wait_child
  read_hash
}

read_hash() { # as sha256sum and shasum, or openssl, say it
  read -r hash < "$work/hash.$worker"
  hash=${hash##*= } hash=${hash%% *}
}

has_good_chunk() { # index file: whether it is a damaged or cut copy, and not something else
  local chunk number=0 length
  length=$(size_of "$2")
  for chunk in ${chunks[$1]}; do
    if [ $((number * chunk_size)) -ge "$length" ]; then return 1; fi
    hash_of_chunk "$2" $number
    if [ "$hash" = "$chunk" ]; then return 0; fi
    number=$((number + 1))
  done
  return 1
}

# ---- bytes from the site -----------------------------------------------------------------------------------------

cause() { # index: sets why to the refusal in one line; asked for one byte, so that no file is taken for it
  local at="$work/cause.$1"
  printf 'url = "%s"\n' "$(cat "$work/url.$1")" |
    curl -sSL --globoff --max-time 60 -r 0-0 -H 'Accept: text/plain' -K - -D "$at.head" -o "$at" 2> "$at.err" &
  wait_child
  why=$(one_line < "$at")
  if [ -z "$(header X-Error-Code "$at.head")" ] || [ -z "$why" ]; then
    why="HTTP $code, and no reason was given. Run the script again; if it stays so, tell the managers of $SITE"
  fi
}

transfer() { # index file curl-options…: one request; sets status and code
  local i="$1" out="$2"
  shift 2
  if [ -f "$work/halt" ] || ! kill -0 $$ 2> /dev/null; then exit 1; fi # $$ is the main process
  [ -f "$work/url.$i" ] || sign "$i"
  printf 'url = "%s"\n' "$(cat "$work/url.$i")" |
    curl -fsSL --globoff --proto-redir =http,https --connect-timeout 30 --speed-limit 1 --speed-time 60 -K - \
      -D "$work/$i.head" -o "$out" -w '%{http_code}' "$@" > "$work/$i.code" 2> "$work/$i.err" &
  printf '%s\n' $! > "$work/transfer.$i"
  wait_child
  code=$(cat "$work/$i.code")
}

# What to make of a request that brought nothing, or not all. Counts in the caller's `tries` and `signs`.
settle() { # index
  local i="$1" error
  error=$(header X-Error-Code "$work/$i.head")
  case "$status/$code/$error" in
    0/*) again "${paths[$i]}: the answer ended too early" ;;
    23/*) halt 6 "${paths[$i]} cannot be written: is the disk full? Make room, then run the same command again." ;;
    51/* | 58/* | 60/* | 77/*) halt 4 "${paths[$i]}: $(one_line < "$work/$i.err")" ;;
    22/*/expired | 22/*/signature_invalid)
      signs=$((signs + 1))
      if [ $signs -gt 2 ]; then cause "$i" && halt 3 "${paths[$i]}: $why"; fi
      say "${paths[$i]}: its link is good no more ($error); asking for a fresh one"
      sign "$i"
      ;;
    22/429/*)
      if others_fetch; then # fewer at once is what the site wants; this file is taken up again
        say "${paths[$i]}: $error; going on with fewer files at once"
        rm -f "$work/active.$worker"
        rmdir "$work/claim.$i"
        exit 0
      fi
      be_patient "$work/$i.head" "${paths[$i]}: ${error:-HTTP 429}" || { cause "$i" && halt 8 "${paths[$i]}: $why $asks"; }
      ;;
    22/408/* | 22/5??/* | 22/403/) again "${paths[$i]}: HTTP $code $error" ;; # a 403 without a code is the store's
    22/*) cause "$i" && halt 3 "${paths[$i]}: $why" ;;
    *) again "${paths[$i]}: the line was cut at byte $(size_of "$dest/${paths[$i]}.part") ($(one_line < "$work/$i.err"))" ;;
  esac
}

others_fetch() {
  local file
  for file in "$work"/active.*; do [ "$file" = "$work/active.$worker" ] || { [ -e "$file" ] && return 0; }; done
  return 1
}

is_genuine() { # index first-byte: whether the answer's head is that of the file, and not of something in between
  local length
  length=$(header Content-Length "$work/$1.head")
  case "$(header status "$work/$1.head")" in
    206) case "$(header Content-Range "$work/$1.head")" in "bytes $2-"*"/${sizes[$1]}") return 0 ;; esac ;;
    200) [ "$2" -eq 0 ] && [ "${length:-${sizes[$1]}}" = "${sizes[$1]}" ] && return 0 ;;
  esac
  return 1
}

under_way='' begun_at=0 # which file a worker is writing to, and from where

give_up() { # a worker is told to end: what it wrote last stays only if it is the file's
  local part
  trap '' TERM
  if [ "$child" ]; then
    kill "$child" 2> /dev/null
    wait "$child" 2> /dev/null
  fi
  if [ "$under_way" ]; then
    part="$dest/${paths[$under_way]}.part"
    if [ "$(size_of "$part")" -gt "$begun_at" ] && ! is_genuine "$under_way" "$begun_at"; then cut_to "$part" "$begun_at"; fi
  fi
  exit 1
}

bring() { # index: its part, until every byte is there
  local i="$1" size="${sizes[$1]}" part="$dest/${paths[$1]}.part" have came tries=0 signs=0 restarts=0
  if [ ! -f "$part" ]; then : > "$part" || halt 1 "$part cannot be written."; fi
  if [ "$(size_of "$part")" -gt "$size" ]; then cut_to "$part" "$size"; fi
  while have=$(size_of "$part") && [ "$have" -lt "$size" ]; do
    if [ $tries -eq 0 ]; then say "getting ${paths[$i]} from byte $have of $size"; fi
    under_way=$i begun_at=$have
    transfer "$i" "$part" -C "$have"
    came=$(($(size_of "$part") - have))
    if [ "$status" -eq 33 ] && [ "$(header Content-Length "$work/$i.head")" = "$size" ]; then
      restarts=$((restarts + 1)) # something in between cannot resume: from the start, but not for ever
      [ $restarts -le 3 ] || halt 4 "${paths[$i]}: something between here and the site cannot resume. Try without the proxy."
      cut_to "$part" 0
    elif [ "$status" -eq 33 ] || { [ $came -gt 0 ] && ! is_genuine "$i" "$have"; }; then
      cut_to "$part" "$have"
      again "${paths[$i]}: something else answered in the place of the file (HTTP $code $(header Content-Type "$work/$i.head"))"
    else
      if [ $came -gt 0 ]; then tries=0 signs=0 waited=0; fi
      [ "$status" -eq 0 ] && [ $came -gt 0 ] || settle "$i"
    fi
    under_way=''
  done
}

mend() { # index: fetches the chunks of its part that are not what was published
  local i="$1" part="$dest/${paths[$1]}.part" chunk number=0 mended=0
  for chunk in ${chunks[$i]}; do
    hash_of_chunk "$part" $number
    if [ "$hash" != "$chunk" ]; then
      say "${paths[$i]}: chunk $number is damaged; fetching it again"
      bring_chunk "$i" $number "$chunk"
      dd if="$work/chunk.$worker" of="$part" bs=65536 seek=$((number * chunk_size / 65536)) conv=notrunc 2> /dev/null ||
        halt 6 "$part cannot be written: is the disk full?"
      mended=$((mended + 1))
    fi
    number=$((number + 1))
  done
  rm -f "$work/chunk.$worker"
  say "${paths[$i]}: $mended of $number chunks fetched again"
}

bring_chunk() { # index number sha256
  local i="$1" first=$(($2 * chunk_size)) last tries=0 signs=0 wrong=0
  last=$((first + chunk_size < sizes[i] ? first + chunk_size - 1 : sizes[i] - 1))
  while :; do
    transfer "$i" "$work/chunk.$worker" -r $first-$last
    if [ "$status" -ne 0 ]; then settle "$i"; continue; fi
    hash_of "$work/chunk.$worker"
    if [ "$hash" = "$3" ]; then return; fi
    wrong=$((wrong + 1))
    if [ $wrong -ge 3 ]; then halt 5 "${paths[$i]}: bytes $first to $last arrived $wrong times with another SHA-256 than published. Tell the managers of $SITE."; fi
  done
}

fetch() { # index: from whatever is here to the verified file
  local i="$1" file="$dest/${paths[$1]}" name="${paths[$1]}"
  case "$name" in */*) mkdir -p "${file%/*}" 2> /dev/null || halt 1 "the folder ${file%/*} cannot be made." ;; esac
  if [ -e "$file" ]; then
    if [ -f "$file" ]; then
      hash_of "$file"
      if [ "$hash" = "${sums[$i]}" ]; then say "have $name" && echo had > "$work/done.$i" && return; fi
    fi
    if [ ! -f "$file" ] || { [ -z "$overwrite" ] && ! has_good_chunk "$i" "$file"; }; then
      halt 1 "$name is here, but is not the published file. Move it away, or give --overwrite; then run the script again."
    fi
    mv -f "$file" "$file.part" || halt 1 "$file cannot be renamed." # under its own name a file is always whole
  fi
  bring "$i"
  hash_of "$file.part"
  if [ "$hash" != "${sums[$i]}" ]; then mend "$i" && hash_of "$file.part"; fi
  [ "$hash" = "${sums[$i]}" ] || halt 5 "$name is not what was published, though each of its chunks is. Tell the managers of $SITE."
  mv -f "$file.part" "$file" || halt 1 "$file cannot be put in its place."
  say "verified $name"
  echo got > "$work/done.$i"
}

