#!/usr/bin/env bash
# One image, one role a container. Each role becomes the process itself (exec), so that a stop reaches it.
#
#   web             answers requests; does not migrate
#   worker          mail and sweeps (queue `default`)
#   gpu-worker      the engine of one release (queue `model.<slug>`, the slug from WEIGHBRIDGE_RELEASE)
#   engine-worker   the same where there is no GPU: another server computes, or the CPU
#   beat            sets off what is due; run exactly one
#   migrate         brings the database up to date, then ends
#   manage COMMAND  manage.py
set -euo pipefail
cd "$(dirname "$0")/.."

ROLES="web worker gpu-worker engine-worker beat migrate manage"
LEVEL=${WEIGHBRIDGE_LOG_LEVEL:-INFO}

wrong() { printf '%s\n' "$*" >&2; exit 64; }  # 64: wrong usage, as sysexits.h numbers it

role=${1:-}
[ -n "$role" ] || wrong "Say which role to run, one of: $ROLES"
shift

case "$role" in
  web)
    # No access log: the proxy keeps one.
    # No proxy headers: portal/asgi.py reads them, where the settings name a proxy.
    # --http: files of a local store go from the kernel's cache to the socket.
    exec uvicorn portal.asgi:application --host "${WEIGHBRIDGE_BIND:-0.0.0.0}" --port "${WEIGHBRIDGE_PORT:-8000}" \
      --http portal.sendfile:Protocol \
      --no-proxy-headers --no-access-log --lifespan off --timeout-graceful-shutdown 20 "$@"
    ;;
  worker)
    exec celery -A portal worker -Q default -n "worker@%h" --loglevel "$LEVEL" "$@"
    ;;
  gpu-worker|engine-worker)
    [ -n "${WEIGHBRIDGE_RELEASE:-}" ] ||
      wrong "Set WEIGHBRIDGE_RELEASE to the slug of the release that this worker serves, for example llama-7b."
    # Threads, not processes: one engine owns the device, and each thread waits for one request. There are more of them
    # than the batch has room for, so that the engine can choose whose turn it is.
    exec celery -A portal worker -Q "model.$WEIGHBRIDGE_RELEASE" -n "$WEIGHBRIDGE_RELEASE@%h" \
      --pool threads --concurrency "${WEIGHBRIDGE_TASKS:-64}" --loglevel "$LEVEL" "$@"
    ;;
  beat)
    exec celery -A portal beat --schedule "${TMPDIR:-/tmp}/weighbridge-beat" --pidfile= --loglevel "$LEVEL" "$@"
    ;;
  migrate)
    exec python manage.py migrate --noinput "$@"
    ;;
  manage)
    exec python manage.py "$@"
    ;;
  *)
    wrong "There is no role '$role'. The roles are: $ROLES"
    ;;
esac
