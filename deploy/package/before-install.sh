#!/bin/sh
# Before the package's files are unpacked, as .deb (`preinst`) and as .rpm (`%pre`). What install.sh has put here would go before
# the package's: two of them would take each other's configuration away.
set -e
unit=/etc/systemd/system/runegate.service
# One that an administrator has edited (systemctl edit --full) or masked is of the package's executable, or of none.
if [ -e /opt/runegate/bin/runegate ] || grep -qs '^ExecStart=/opt/runegate/' $unit; then
  echo "runegate: there is one from install.sh. Remove it first; configuration and data stay: /opt/runegate/uninstall.sh" >&2
  exit 1
fi
# An account of somebody's, with whatever it may do elsewhere, is not one for a service.
uid=$(getent passwd runegate | cut -d : -f 3)
if [ -n "$uid" ] && { [ "$uid" -eq 0 ] || [ "$uid" -ge 1000 ]; }; then
  echo "runegate: there is a user runegate who is no system user (number $uid). Rename or delete that account." >&2
  exit 1
fi
