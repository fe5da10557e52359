#!/bin/sh
# Caption files with curl; the answer for all of them is one line of JSON:
#
#   examples/caption.sh http://127.0.0.1:8000 examples/*.wav examples/*.mp3
#
# curl tries 429 and 503 again (and 408, 500, 502 and 504), after as long as Retry-After says. The exit status is 22 where the
# answer is an error, which is printed as well.
set -eu

url=$1
shift
# Each file becomes an argument "--form file=@NAME", quoted as curl wants it, since a name may hold commas and semicolons.
for file in "$@"; do
  shift
  quoted=$(printf '%s' "$file" | sed 's/[\\"]/\\&/g')
  set -- "$@" --form "file=@\"$quoted\""
done
# A file, since what is written to standard output cannot be taken back when curl tries again.
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
status=0
# A key is read from standard input, so that it does not stand in the list of processes.
printf '%s\n' "${API_KEY:+Authorization: Bearer $API_KEY}" |
  curl --header @- --silent --show-error --fail-with-body --retry 5 --retry-max-time 120 --output "$answer" "$@" "$url/caption" ||
  status=$?
cat "$answer"
echo
exit "$status"
