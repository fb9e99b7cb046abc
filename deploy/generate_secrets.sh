#!/bin/sh
# Makes Runegate's two secrets where there is no executable to do it (`runegate secrets` is the same and more): on the
# host of a container, or before the installation.
set -eu
umask 077

usage() {
  cat <<'HELP'
Usage: generate_secrets.sh [--env-file FILE]

Prints fresh secrets as lines for an env file. With --env-file it adds to FILE
the ones that are missing there, prints none of them, and leaves everything
else in the file as it is. A new file can be read by its owner only.
HELP
}

misuse() {
  echo "generate_secrets.sh: $1" >&2
  echo "generate_secrets.sh --help says how it is used." >&2
  exit 64
}

# $1 random bytes as hexadecimal digits.
random_hex() {
  if [ -r /dev/urandom ]; then
    digits=$(od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n')
  else
    digits=$(openssl rand -hex "$1")
  fi
  # A secret that came out short must not get into a file.
  if [ "${#digits}" -ne $((2 * $1)) ]; then
    echo "generate_secrets.sh: there is no source of randomness here." >&2
    exit 1
  fi
  echo "$digits"
}

# Whether file $1 has a value for $2, or names a file that has: the last line of a name counts, an empty value is none.
is_set() {
  for name in "$2" "$2_FILE"; do
    value=$(tr -d '\r' <"$1" | sed -n "s/^[[:space:]]*${name}[[:space:]]*=[[:space:]]*//p" | tail -n 1)
    [ -z "$(printf %s "$value" | tr -d "\"' \t")" ] || return 0
  done
  return 1
}

# How the secret named $1 is made: as Runegate wants it (32 bytes, 64 bytes).
fresh() {
  case $1 in
    RUNEGATE_JWT_SECRET) random_hex 32 ;;
    RUNEGATE_SESSION_KEY) random_hex 64 ;;
  esac
}

add_missing() {
  named=$1
  if [ -e "$named" ]; then
    # A symbolic link stays one.
    path=$(readlink -f "$named")
    [ -f "$path" ] || { echo "generate_secrets.sh: $named is not a file." >&2 && exit 1; }
  else
    path=$named
  fi
  # Beside the file and put in its place by a rename: whoever reads meanwhile sees the old content or the new.
  temporary=$(mktemp "$path.tmp.XXXXXX")
  trap 'rm -f "$temporary"' EXIT
  trap 'exit 130' INT TERM HUP
  if [ -e "$path" ]; then
    cat "$path" >"$temporary"
    # A last line without its end would run into what is added.
    [ -z "$(tail -c 1 "$path")" ] || echo >>"$temporary"
  fi
  said='' changed=''
  for secret in RUNEGATE_JWT_SECRET RUNEGATE_SESSION_KEY; do
    if is_set "$temporary" "$secret"; then
      state='already set'
    else
      value=$(fresh "$secret")
      echo "$secret=$value" >>"$temporary"
      state=added changed=yes
    fi
    said="$said$secret: $state
"
  done
  if [ -n "$changed" ]; then
    if [ -e "$path" ]; then
      # Owner first: changing it may clear mode bits.
      [ "$(id -u)" -ne 0 ] || chown "$(stat -c %u:%g "$path")" "$temporary"
      chmod "$(stat -c %a "$path")" "$temporary"
    fi
    mv -f "$temporary" "$path"
  fi
  printf %s "$said"
  case $(stat -c %a "$path") in
    *0) ;;
    *) echo "warning: other users can read $named. Run: chmod 600 $named" >&2 ;;
  esac
}

case ${1:-} in
  '')
    [ $# -eq 0 ] || misuse "an empty argument means nothing."
    for secret in RUNEGATE_JWT_SECRET RUNEGATE_SESSION_KEY; do
      value=$(fresh "$secret")
      echo "$secret=$value"
    done
    ;;
  --env-file)
    [ -n "${2:-}" ] || misuse "--env-file needs the name of a file."
    [ $# -eq 2 ] || misuse "one file at a time."
    add_missing "$2"
    ;;
  --help | -h) usage ;;
  *) misuse "there is no option $1." ;;
esac
