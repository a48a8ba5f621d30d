#!/bin/sh
# Makes the bucket for the weights, once. Runs in the S3 server's own image: its shell is the only tool needed.
#   S3_MASTER  where the server's master answers (host:port)
#   S3_FILER   where its filer answers (host:port)
#   S3_BUCKET  the bucket's name
set -eu
: "${S3_MASTER:?}" "${S3_FILER:?}" "${S3_BUCKET:?}"

shell() { printf '%s\n' "$1" | weed shell -master="$S3_MASTER" -filer="$S3_FILER" 2>&1; }
is_there() { shell s3.bucket.list | grep -Eq "^[> ]*$S3_BUCKET([[:space:]]|\$)"; }

if is_there; then
  echo "bucket $S3_BUCKET is there"
  exit 0
fi
shell "s3.bucket.create -name $S3_BUCKET" || true  # whether it worked, the list says
is_there || { echo "bucket $S3_BUCKET could not be made (see above)" >&2; exit 1; }
echo "bucket $S3_BUCKET made"
