#!/usr/bin/env bash
# Brings released weights here, whole and checked. Needs bash (3.2 or newer) and curl.
# Run it again after any interruption: it goes on where it stopped. `--help` says the rest.
#
# The site fills in the next lines. A KEY opens one release under one grant, for some days: keep this file as you
# would keep a password. Without a KEY a token is needed (see --help).
SITE=''
RELEASE=''
KEY=''
PUBLIC_KEY=''

set -u
export LC_ALL=C # one character is one byte, in every tool

usage() {
  cat << END
Usage: bash $0 [options]

  --release NAME      which release, as --list names it; may stand more than once${RELEASE:+ (default: $RELEASE)}
  --revision NAME     another revision than the current one: a tag, or its hex digits
  --only GLOB         only files whose path fits, as '*.safetensors'; may stand more than once
  --exclude GLOB      no files whose path fits; may stand more than once
  --layout LAYOUT     original or safetensors, where a release has both (default: both)
  --to DIR            where the folder of each release is made (default: here)
  --jobs N            files at the same time (default: 4)
  --list              say what there is, and fetch nothing
  --overwrite         replace files that have the same name here and are something else
  --max-wait SECONDS  how long to be patient, in all, where the site asks for it (default: 3600)
  --retries N         attempts without a new byte before it gives up (default: 10)
  --help              this text

WEIGHBRIDGE_TOKEN in the environment: a token with the scope "download", made on your account page. No secret is ever
shown in the list of processes. http_proxy, https_proxy and no_proxy mean what they mean to curl.

Exit status
  0  all files are here and verified          5  bytes are not what was published, and could not be mended
  1  something is wrong on this computer      6  the disk is full
  2  the options do not fit                   7  another run is at work in the same folder
  3  the site refuses, and says why           8  the site asks for more patience than --max-wait allows
  4  the line or the site is down             130  interrupted; the same command goes on
END
}

# ---- saying things -----------------------------------------------------------------------------------------------

terminal=''
if [ -t 1 ]; then terminal=yes; fi
worker='' # its number, in the processes that fetch

say() { if [ "$terminal" ]; then printf '\r\033[K%s\n' "$*"; else printf '%s\n' "$*"; fi; }

# The end for everybody; the first reason counts. A worker leaves it to the main process to say it.
halt() { # status reason
  if [ "$worker" ]; then
    if mkdir "$work/halted" 2> /dev/null; then
      printf '%s\n%s\n' "$1" "$2" > "$work/halt.new"
      mv "$work/halt.new" "$work/halt"
    fi
    exit 1
  fi
  stop_workers
  if [ "$terminal" ]; then printf '\r\033[K'; fi
  printf 'stopped: %s\n' "$2" >&2
  exit "$1"
}

human() { # bytes
  local n="$1" unit
  if [ "$n" -lt 1000 ]; then echo "$n bytes"; return; fi
  for unit in kB MB GB TB; do
    if [ "$n" -lt 999950 ] || [ $unit = TB ]; then
      printf '%d.%d %s\n' $(((n + 50) / 1000)) $(((n + 50) % 1000 / 100)) $unit
      return
    fi
    n=$((n / 1000))
  done
}

one_line() { tr -cd '[:print:]\n' | sed '/./!d' | head -n 1 | cut -c 1-700; }

# ---- processes, and how they end ---------------------------------------------------------------------------------

child='' # what this process waits for
pids=''  # the workers
work=''  # a folder of our own for what must not outlive us
lock=''

nap() { sleep 0.2 2> /dev/null || sleep 1; }

wait_child() { # sets status
  child=$!
  wait "$child"
  status=$?
  child=''
}

pause() { sleep "$1" & wait_child; }

stop_workers() {
  local pid
  for pid in $pids $child; do kill -TERM "$pid" 2> /dev/null; done
  for pid in $pids $child; do wait "$pid" 2> /dev/null; done
  pids='' child=''
}

leave() { # no process, no link and no lock stays behind
  stop_workers
  if [ "$lock" ]; then rm -rf "$lock"; fi
  if [ "$work" ]; then rm -rf "$work"; fi
}

interrupted() { # status
  trap '' INT TERM HUP
  halt "$1" "interrupted. What came so far stays; the same command goes on."
}

take_lock() { # folder
  local at="$1/.weighbridge" host pid old tries=0
  until mkdir -m 700 "$at" 2> /dev/null; do
    [ -d "$at" ] || halt 1 "$1 cannot be written to."
    host='' pid='' old='' tries=$((tries + 1))
    { read -r host pid; read -r old; } 2> /dev/null < "$at/holder"
    if [ -z "$pid" ] && [ $tries -lt 10 ]; then nap; continue; fi # it is just being written
    if [ $tries -gt 20 ] || { [ "$pid" ] && { [ "$host" != "$(uname -n)" ] || kill -0 "$pid" 2> /dev/null; }; }; then
      halt 7 "another run (process ${pid:-unknown} on ${host:-some host}) is at work in $1. If it is not, remove $at."
    fi
    end_orphans "$old"
    mv "$at" "$at.$$" 2> /dev/null && rm -rf "$at.$$"
  done
  lock=$at
  printf '%s %s\n%s\n' "$(uname -n)" "$$" "$work" > "$lock/holder" || halt 6 "$lock cannot be written to: is the disk full?"
}

# A run that was killed outright leaves its transfers running; they must not write beside ours.
end_orphans() { # its working folder
  local file pid
  case "$1" in */weighbridge.*) ;; *) return ;; esac
  for file in "$1"/transfer.*; do
    pid=$(cat "$file" 2> /dev/null)
    case "$(ps -o args= -p "${pid:-0}" 2> /dev/null)" in *"$1"*) kill "$pid" && nap ;; esac
  done
  rm -rf "$1"
}

