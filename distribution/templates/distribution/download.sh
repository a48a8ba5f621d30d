{% autoescape off %}#!/usr/bin/env bash
# Downloads {{ release.repo_id }} ({{ links|length }} files) into the current folder. Needs bash and curl.
# Run it again after any interruption: it goes on where it stopped, and checks every file.
# The links are yours alone and open until {{ expires_at|date:"Y-m-d H:i" }} UTC; after that, fetch this script again:
#   {{ files_url }}
set -u

sha256_of() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1" | cut -d ' ' -f 1
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256 "$1" | cut -d ' ' -f 1
  else openssl dgst -sha256 "$1" | sed 's/^.* //'
  fi
}

size_of() { if [ -f "$1" ]; then wc -c < "$1" | tr -d ' '; else echo 0; fi; }

stop() { echo "stopped: $1" >&2; exit 1; }

# Why the server says no: one line, asked for one byte so that a file is never taken for it.
cause() {
  local answer
  answer=$(curl -sSL --max-time 60 -r 0-0 -H 'Accept: text/plain' -w '\n%{http_code}' "$1" 2>&1 | tr -d '\0')
  case "$answer" in
    *200|*206) echo "the server refused once, and now answers again; run the script once more" ;;
    *) printf '%s\n' "$answer" | sed '$d' | head -n 1 ;;
  esac
}

fetch() { # name url size sha256
  local name="$1" url="$2" size="$3" sha256="$4" part="$1.part" tries=0 before status
  if [ -f "$name" ]; then
    if [ "$(sha256_of "$name")" = "$sha256" ]; then echo "have $name"; return; fi
    stop "$name is here, but is not the published file. Move it away, then run the script again."
  fi
  case "$name" in */*) mkdir -p "${name%/*}" || stop "cannot make the folder ${name%/*}." ;; esac
  if [ "$(size_of "$part")" -gt "$size" ]; then rm -f "$part"; fi
  while [ "$(size_of "$part")" -lt "$size" ] || [ ! -f "$part" ]; do
    before=$(size_of "$part")
    echo "getting $name from byte $before of $size"
    curl -fL --connect-timeout 30 --speed-limit 1 --speed-time 60 -C - -o "$part" "$url"
    status=$?
    case $status in
      0) ;;
      22) stop "$name: $(cause "$url")" ;; # the server said no
      23) stop "$name cannot be written here: is the disk full? Make room, then run the script again." ;;
      33) rm -f "$part" ;; # something in between cannot resume: from the start
    esac
    if [ $status -eq 0 ] && [ "$size" -eq 0 ]; then : > "$part"; fi
    if [ "$(size_of "$part")" -gt "$before" ]; then tries=0; else tries=$((tries + 1)); fi
    if [ $tries -ge 5 ]; then stop "$name: no byte came in 5 attempts (curl says $status). Check your line, then run the script again."; fi
    if [ $status -ne 0 ]; then sleep $((tries + 1)); fi
  done
  if [ "$(sha256_of "$part")" != "$sha256" ]; then
    rm -f "$part"
    stop "$name arrived with another SHA-256 than published, and was removed. Run the script again."
  fi
  mv "$part" "$name" || stop "$name cannot be put in its place."
  echo "verified $name"
}

{% for link in links %}fetch '{{ link.path }}' '{{ link.url }}' {{ link.size|stringformat:"d" }} {{ link.sha256 }}
{% endfor %}
echo "all {{ links|length }} files verified"
{% endautoescape %}
