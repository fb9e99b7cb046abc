#!/usr/bin/env bash
# Removes what install.sh installed. `uninstall.sh --help` says how.
set -euo pipefail

readonly EX_USAGE=64
# As in install.sh.
readonly root="${DESTDIR:-}"

readonly account=runegate
readonly home=/var/lib/runegate
readonly programs="$root/opt/runegate"
readonly command_link="$root/usr/local/bin/runegate"
readonly settings="$root/etc/runegate"
readonly data="$root$home"
# Empty unless lines are logged to files there.
readonly logs="$root/var/log/runegate"
readonly units="$root/etc/systemd/system"
readonly drop_ins="$units/runegate.service.d"
readonly connect_drop_ins="$units/runegate-connect.service.d"
readonly sysctl_file="$root/etc/sysctl.d/60-runegate.conf"
readonly nginx="$root/etc/nginx"

dry='' all='' keep_data='' purge=''

main() {
  read_arguments "$@"
  # A dry run only looks, which anybody may.
  [ -n "$dry" ] || [ "$(id -u)" -eq 0 ] || die 1 "must be run as root. Try: sudo $0"
  command -v systemctl >/dev/null || die 1 "needs systemd, and there is no systemctl here."

  # Asked before anything is done, so that nobody comes back to a half-removed service that waits for an answer.
  local data_goes='' settings_go=''
  if [ -z "$keep_data" ] && [ -d "$data" ] && agreed "Delete $data: who is signed in, and waiting mail? And log files?"; then
    data_goes=yes
  fi
  if { [ -d "$settings" ] || [ -d "$drop_ins" ] || [ -d "$connect_drop_ins" ]; } &&
    agreed "Delete the configuration with its secrets, $settings and drop-ins of the units?"; then
    settings_go=yes
  fi

  remove_site
  local service
  for service in runegate runegate-connect; do
    stop_service "$service"
    remove_unit "$service" "$settings_go"
  done
  remove "$sysctl_file" "$command_link"
  remove_programs
  if [ -n "$settings_go" ]; then remove_tree "$settings"; fi
  if [ -n "$data_goes" ]; then
    remove_tree "$data"
    remove_tree "$logs"
  elif [ -z "$dry" ] && [ -d "$logs" ]; then
    rmdir --ignore-fail-on-non-empty "$logs"
  fi
  remove_account
  finish
}

usage() {
  cat <<'HELP'
Usage: uninstall.sh [options]

Stops Runegate and removes what install.sh installed: the services, the
executables, the nginx site, the kernel settings. Asks before it deletes data
and configuration; where nobody can be asked, both stay. Needs root, but for a
dry run.

  --purge      delete data and configuration too, without asking
  --keep-data  keep /var/lib/runegate and log files, without asking
  --yes        answer the questions that are left with yes
  --dry-run    say what would be done, and do nothing
  --help       this text

The system user stays as long as files of its are kept.

Exit codes: 0 done, 1 failed, 64 usage.
HELP
}

read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --purge) purge=yes ;;
      --keep-data) keep_data=yes ;;
      --yes | -y) all=yes ;;
      --dry-run) dry=yes ;;
      --help | -h) usage && exit 0 ;;
      *) misuse "there is no option $1." ;;
    esac
    shift
  done
  if [ -n "$purge" ] && [ -n "$keep_data" ]; then misuse "--purge and --keep-data contradict each other."; fi
}

agreed() {
  [ -z "$purge$all" ] || return 0
  [ -t 0 ] || return 1
  local answer
  read -r -p "$1 [y/N] " answer || return 1
  [[ $answer =~ ^[Yy]([Ee][Ss])?$ ]]
}

remove_site() {
  local file found=''
  for file in "$nginx"/sites-enabled/runegate.conf "$nginx"/sites-available/runegate.conf{,.previous} \
    "$nginx"/conf.d/runegate.conf{,.previous}; do
    [ ! -e "$file" ] && [ ! -L "$file" ] || found=yes
    remove "$file"
  done
  if [ -z "$found" ] || ! systemctl is-active --quiet nginx; then return; fi
  step "Reload nginx" || return 0
  if ! nginx -t -q; then
    tell "nginx does not accept its configuration, so it was not reloaded"
  elif ! systemctl reload nginx; then
    tell "nginx could not be reloaded. See: journalctl -u nginx"
  fi
}

stop_service() {
  [ -e "$units/$1.service" ] || return 0
  step "Stop and disable $1" || return 0
  systemctl disable --now --quiet "$1"
}

remove_unit() {
  local folder="$units/$1.service.d"
  [ -e "$units/$1.service" ] || [ -d "$folder" ] || return 0
  remove "$units/$1.service" "$folder"/{10-backoff,20-edge,10-tunnel}.conf
  if [ -n "$2" ]; then
    remove_tree "$folder"
  elif [ -z "$dry" ] && [ -d "$folder" ]; then
    rmdir --ignore-fail-on-non-empty "$folder"
  fi
  [ -z "$dry" ] || return 0
  systemctl daemon-reload
  # A service that failed is remembered beyond its unit.
  systemctl reset-failed "$1" 2>/dev/null || true
}

# The folder may be somebody's who has more in it.
remove_programs() {
  remove "$programs"/bin/runegate{,.previous} "$programs/uninstall.sh"
  [ -z "$dry" ] || return 0
  # What an install.sh that was killed could not take away.
  rm -f "$programs"/{,bin/}.runegate.*.tmp "$units"/.runegate.*.tmp "$root"/etc/sysctl.d/.runegate.*.tmp \
    "$nginx"/*/.runegate.*.tmp "$root/run/systemd/system/runegate-check.service"
  local folder
  for folder in "$programs/bin" "$programs"; do
    [ ! -d "$folder" ] || rmdir --ignore-fail-on-non-empty "$folder"
  done
}

remove_account() {
  # Another account that is given the same number later must not own what was kept.
  if [ -z "$dry" ] && { [ -d "$data" ] || [ -d "$logs" ] || [ -d "$settings" ]; }; then
    if getent passwd "$account" >/dev/null; then tell "Keep the system user $account, who owns what was kept"; fi
    return
  fi
  local entry members
  if entry=$(getent passwd "$account"); then
    if [ "$(cut -d : -f 6 <<<"$entry")" != "$home" ]; then
      tell "Keep the user $account: its home is not $home, so somebody uses it for something else"
      return
    fi
    if step "Delete the system user $account"; then userdel "$account"; fi
  fi
  # userdel takes the group along where it was made for the user.
  if entry=$(getent group "$account"); then
    members=$(cut -d : -f 4 <<<"$entry")
    if [ -n "$members" ]; then
      tell "Keep the group $account, which has members: $members"
    elif step "Delete the system group $account"; then
      groupdel "$account"
    fi
  fi
}

finish() {
  if [ -n "$dry" ]; then
    echo "Nothing was changed."
    return
  fi
  local kept
  for kept in "$data" "$logs" "$settings" "$drop_ins" "$connect_drop_ins" "$programs"; do
    [ ! -d "$kept" ] || tell "Kept: $kept"
  done
  echo "Runegate is removed. Kernel settings it brought stay until the next boot, log lines as long as the journal keeps them."
}

remove() {
  local file
  for file in "$@"; do
    [ -e "$file" ] || [ -L "$file" ] || continue
    # Only a link of install.sh's.
    if [ "$file" = "$command_link" ] && [ "$(readlink "$file")" != /opt/runegate/bin/runegate ]; then continue; fi
    if step "Remove $file"; then rm -f "$file"; fi
  done
}

remove_tree() {
  [ -d "$1" ] || return 0
  step "Remove $1" || return 0
  # Where somebody keeps it on a disk of its own, by a link or a mount: what is in it, and nothing mounted further down.
  find -H "$1" -xdev -mindepth 1 -delete || true
  if [ -L "$1" ]; then rm -f "$1"; else rmdir "$1" || true; fi
}

# Says what is done next; false in a dry run, so that it is not done.
step() {
  if [ -n "$dry" ]; then
    echo "would: $1"
    return 1
  fi
  echo "- $1"
}

tell() { echo "  $1"; }

misuse() {
  echo "uninstall.sh: $1" >&2
  echo "uninstall.sh --help lists the options." >&2
  exit "$EX_USAGE"
}

die() {
  echo "uninstall.sh: $2" >&2
  exit "$1"
}

main "$@"
