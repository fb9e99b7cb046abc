#!/bin/sh
# Before the package's files go, as .deb (`prerm remove`) and as .rpm (`%preun`, 0). At an upgrade the service runs on. Whether it
# was enabled is remembered by its link, for who installs it again.
set -e
case ${1:-} in remove | 0) ;; *) exit 0 ;; esac
[ ! -d /run/systemd/system ] || systemctl stop runegate
