#!/bin/sh
# After the package's files are gone, as .deb (`postrm remove`, then `postrm purge` where that is asked for) and as .rpm
# (`%postun`, 0: configuration and data stay, as is usual there). The account stays too: its number must not go to somebody else
# who then owns what a backup brings back.
set -e
case ${1:-} in remove | purge | 0) ;; *) exit 0 ;; esac
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # A service that failed is remembered beyond its unit.
  systemctl reset-failed runegate 2>/dev/null || true
fi
[ "$1" = purge ] || exit 0
rm -f /etc/systemd/system/multi-user.target.wants/runegate.service
# One that is a mount of its own is emptied.
rm -rf /etc/runegate /var/lib/runegate /var/log/runegate || true
