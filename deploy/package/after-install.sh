#!/bin/sh
# After the package's files are in place, as .deb (`postinst configure`) and as .rpm (`%post`, 1 at first and 2 from then on).
# Nothing is started before its configuration is complete, and a service that runs goes on until the new version is ready.
set -e
case ${1:-} in configure | 1 | 2) ;; *) exit 0 ;; esac

settings=/etc/runegate
env_file=$settings/runegate.env

systemd-sysusers runegate.conf
# The account is not there yet when a package is unpacked.
chgrp runegate $settings $settings/config
[ ! -e $settings/config/email.toml ] || chgrp runegate $settings/config/email.toml

# It gets secrets that no package could bring, and so is none of its files.
if [ ! -e $env_file ]; then
  umask 077
  fresh=$(mktemp $settings/.runegate.XXXXXX.tmp)
  trap 'rm -f "$fresh"' EXIT
  cat /usr/share/runegate/runegate.env.example >"$fresh"
  /usr/bin/runegate secrets --env-file "$fresh" >/dev/null
  chgrp runegate "$fresh"
  chmod 0640 "$fresh"
  mv "$fresh" $env_file
fi

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
# A container may not set them; Runegate works without.
/usr/lib/systemd/systemd-sysctl 60-runegate.conf 2>/dev/null || true

export RUNEGATE_ENV_FILE=$env_file
if systemctl is-active --quiet runegate; then
  /usr/bin/runegate upgrade --switch-over ||
    echo "runegate: the version before serves on until this is mended, and then: systemctl reload runegate" >&2
elif ! /usr/bin/runegate check >/dev/null 2>&1; then
  cat <<TODO
Runegate is installed and not started, because its configuration is not complete:

  - $env_file: RUNEGATE_BASE_URL, RUNEGATE_ALLOWED_EMAILS (or _DOMAINS), RUNEGATE_TARGET_SERVICE
  - $settings/config/email.toml: the mail server, and whom mail is from

Then: runegate check --online && systemctl enable --now runegate
TODO
elif systemctl is-enabled --quiet runegate; then
  systemctl start runegate || echo "runegate: the service did not start. See: journalctl -u runegate" >&2
fi
