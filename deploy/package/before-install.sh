#!/bin/sh
# Before the package's files are unpacked, as .deb (`preinst`) and as .rpm (`%pre`). What install.sh has put here would go before
# the package's: two of them would take each other's configuration away.
set -e
if [ -e /opt/runegate/bin/runegate ] || [ -e /etc/systemd/system/runegate.service ]; then
  echo "runegate: there is one from install.sh. Remove it first; configuration and data stay: /opt/runegate/uninstall.sh" >&2
  exit 1
fi
