#!/usr/bin/env bash
# Installs Runegate on Debian or Ubuntu, or upgrades it in place. `install.sh --help` says how; deploy/README.md is the
# guide around it. Nothing is switched before the new executable has been tried, and what fails is put back.
set -euo pipefail
umask 077

readonly EX_USAGE=64 EX_CONFIG=78
# For packagers and tests: everything is put below this directory.
readonly root="${DESTDIR:-}"

readonly account=runegate
readonly programs="$root/opt/runegate"
readonly executable="$programs/bin/runegate"
readonly previous="$executable.previous"
readonly command_link="$root/usr/local/bin/runegate"
readonly settings="$root/etc/runegate"
readonly env_file="$settings/runegate.env"
readonly email_file="$settings/config/email.toml"
readonly data="$root/var/lib/runegate"
readonly units="$root/etc/systemd/system"
readonly unit="$units/runegate.service"
readonly drop_ins="$units/runegate.service.d"
readonly backoff="$drop_ins/10-backoff.conf"
readonly edge_ports="$drop_ins/20-edge.conf"
readonly trial_unit="$root/run/systemd/system/runegate-check.service"
readonly sysctl_file="$root/etc/sysctl.d/60-runegate.conf"
readonly nginx="$root/etc/nginx"
readonly connect_unit="$units/runegate-connect.service"
readonly connect_drop_ins="$units/runegate-connect.service.d"
readonly tunnel_file="$connect_drop_ins/10-tunnel.conf"
readonly token_copy="$settings/connect.token"

# Seconds until the new version must have taken over, and until a reload must have begun.
readonly SWITCH_LIMIT=90 RELOAD_BEGINS=3
# Seconds that a connector has for its first connection.
readonly CONNECT_LIMIT=15

# An ordinary user's leads to no program of the administrator's.
PATH=$PATH:/usr/sbin:/sbin
# Where a relative folder is looked for elsewhere first, and cd says so on standard output.
unset CDPATH
# Read from a pipe, it has no folder.
here=$(cd "$(dirname "${BASH_SOURCE[0]:-/nonexistent/}")" 2>/dev/null && pwd) || here=''
readonly here

given_binary='' domain='' edge='' certificate='' key=''
from='' public_key='' allow_rollback='' no_signature=''
connect='' tunnel='' token_file='' targets=()
dry='' show_secrets='' start=yes
staged='' replaced_unit='' had_executable='' replaced_executable='' would_start=yes
# Set once the leftovers are this run's to take away.
is_alone=''
# Set while files are in place that the service has not been seen to run with.
switched=''
# Set once the ports of an edge are let to the service, which takes a restart.
replaced_edge=''
# Set from asking for a reload until it is seen how that ended.
reloading=''

main() {
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  trap 'exit 141' PIPE
  read_arguments "$@"
  # A dry run only looks, which anybody may.
  [ -n "$dry" ] || [ "$(id -u)" -eq 0 ] || die 1 "must be run as root. Try: sudo $0"
  command -v systemctl >/dev/null || lack "needs systemd, and there is no systemctl here."
  check_folder
  if [ -n "$connect" ]; then
    install_connector
    return
  fi
  check_account
  if [ -n "$domain" ]; then check_nginx; fi

  local binary
  binary=${given_binary:-$here/../dist/runegate}
  if [ -n "$from" ]; then
    stage_release
  else
    [ -n "$given_binary" ] || build
    stage "$binary"
  fi
  create_account
  create_directories
  create_configuration
  add_secrets
  check_configuration
  place_files
  switch_over
  if [ -n "$domain" ]; then setup_nginx; fi
  finish
}

usage() {
  cat <<'HELP'
Usage: install.sh [options]

Installs Runegate as a service, or upgrades it in place: same configuration,
same sessions, no refused connection. Asks nothing. Needs root, but for a
dry run.

  --binary PATH         the executable; without it, it is built from this
                        checkout with `npm run build`
  --from FOLDER         a release as it was published; who signed it is verified, by
                        minisign or by the executable that is installed
  --public-key KEY      who must have signed it: a key of minisign's, or a file of
                        them, in place of release-keys.pub beside this script
  --allow-rollback      also take a version that is older than the installed one
  --no-signature        take a release whose checksum alone is right
  --setup-nginx DOMAIN  also install, test and enable the nginx site
  --certificate PATH    its certificate with the chain, and
  --key PATH            its key; without them certbot's,
                        /etc/letsencrypt/live/DOMAIN/{fullchain,privkey}.pem
  --edge DOMAIN         let Runegate do without a proxy in front: it speaks TLS on
                        port 443, with certificates that it orders, and leads
                        plain http from port 80 there
  --connect URL         in place of all that, on the machine of an application behind a
                        router: bring it to the Runegate at URL, by
  --tunnel NAME         the tunnel of this name there, with
  --token-file FILE     the token of `runegate tunnels create NAME`, which is copied.
  --to TARGET           The application: http://127.0.0.1:7860, unix:/path, or for
                        several, each with --to, grafana=http://127.0.0.1:3000
  --no-start            neither start nor restart the service
  --show-secrets        print the secrets of the configuration at the end
  --dry-run             say what would be done, and what it needs that is
                        not there yet, and do nothing
  --help                this text

What it installs:
  /opt/runegate/bin/runegate, with the version before as runegate.previous,
  /opt/runegate/uninstall.sh, /usr/local/bin/runegate (a link),
  /etc/runegate/runegate.env and config/email.toml, /var/lib/runegate,
  /etc/systemd/system/runegate.service, /etc/sysctl.d/60-runegate.conf,
  and the system user runegate.
With --connect: the same programs, /etc/systemd/system/runegate-connect.service
and its .d/10-tunnel.conf, and /etc/runegate/connect.token.

Exit codes: 0 done, 1 failed (what ran before runs on), 64 usage, 78 the
configuration has to be completed before Runegate can start.
HELP
}

read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --binary | --from | --public-key | --setup-nginx | --certificate | --key | --edge | \
        --connect | --tunnel | --token-file | --to)
        [ -n "${2:-}" ] || misuse "$1 needs a value."
        case $1 in
          --binary) given_binary=$2 ;;
          --from) from=$2 ;;
          --public-key) public_key=$2 ;;
          --setup-nginx) domain=$2 ;;
          --edge) edge=$2 ;;
          --certificate) certificate=$2 ;;
          --key) key=$2 ;;
          --connect) connect=$2 ;;
          --tunnel) tunnel=$2 ;;
          --token-file) token_file=$2 ;;
          --to) targets+=("$2") ;;
        esac
        shift 2
        ;;
      --allow-rollback) allow_rollback=yes && shift ;;
      --no-signature) no_signature=yes && shift ;;
      --no-start) start='' && shift ;;
      --show-secrets) show_secrets=yes && shift ;;
      --dry-run) dry=yes && shift ;;
      --help | -h) usage && exit 0 ;;
      *) misuse "there is no option $1." ;;
    esac
  done
  [ -z "$from" ] || [ -z "$given_binary" ] || misuse "--from and --binary contradict each other."
  [ -n "$from" ] || [ -z "$public_key$allow_rollback$no_signature" ] ||
    misuse "--public-key, --allow-rollback and --no-signature belong to --from."
  [ -z "$domain" ] || [ -z "$edge" ] || misuse "--edge and --setup-nginx contradict each other."
  local label='[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?'
  local name="^$label(\.$label)*$"
  [ -z "$domain" ] || [[ $domain =~ $name ]] || misuse "--setup-nginx wants a host name such as app.example.org."
  [ -z "$edge" ] || [[ $edge =~ $name ]] || misuse "--edge wants a host name such as app.example.org."
  domain=${domain,,} edge=${edge,,}
  [ -n "$domain" ] || [ -z "$certificate$key" ] || misuse "--certificate and --key belong to --setup-nginx."
  if [ -n "$certificate$key" ] && { [ -z "$certificate" ] || [ -z "$key" ]; }; then
    misuse "--certificate and --key go together."
  fi
  check_connect_arguments
  certificate=${certificate:-$root/etc/letsencrypt/live/$domain/fullchain.pem}
  key=${key:-$root/etc/letsencrypt/live/$domain/privkey.pem}
  [ -z "$given_binary" ] || [ -f "$given_binary" ] || die 1 "there is no file $given_binary."
}

# They end up in a file of systemd's, where white space, quotes, $ and % mean something.
check_connect_arguments() {
  if [ -z "$connect" ]; then
    [ -z "$tunnel$token_file${targets[*]}" ] || misuse "--tunnel, --token-file and --to belong to --connect."
    return 0
  fi
  [ -z "$domain$edge$show_secrets" ] || misuse "--connect installs the other end, and goes with no option of the server's."
  local target url='^https://[][A-Za-z0-9.:-]+/?$' name='^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$' word='^[][A-Za-z0-9._:/=@~+,-]+$'
  [[ $connect =~ $url ]] || misuse "--connect wants the address of a Runegate such as https://app.example.org."
  [[ $tunnel =~ $name ]] || misuse "--connect needs --tunnel, the name of one."
  [ -n "$token_file" ] || misuse "--connect needs --token-file."
  [ ${#targets[@]} -gt 0 ] || misuse "--connect needs --to, the application."
  for target in "${targets[@]}"; do
    [[ $target =~ $word ]] || misuse "--to wants an address such as http://127.0.0.1:7860."
  done
  grep -qx 'rgt_[0-9A-Za-z_]*' "$token_file" 2>/dev/null || lack "there is no token in $token_file: \`runegate tunnels create $tunnel\` on the server prints one."
}

# Before anything is changed.
check_folder() {
  local name
  for name in runegate.env.example config/email.toml.example uninstall.sh sysctl/60-runegate.conf \
    systemd/runegate.service systemd/runegate-backoff.conf systemd/runegate-edge.conf \
    systemd/runegate-connect.service nginx/runegate-nginx.conf; do
    [ -r "$here/$name" ] || die 1 "needs the whole deploy folder around it, and there is no $name."
  done
  [ ! -e "$root/usr/lib/runegate/runegate" ] || die 1 "Runegate is installed as a package here: upgrade or remove that."
}

# An account of somebody's, with whatever it may do elsewhere, is not one for a service.
check_account() {
  local entry uid
  entry=$(getent passwd "$account") || return 0
  uid=$(cut -d : -f 3 <<<"$entry")
  if [ "$uid" -eq 0 ] || [ "$uid" -ge 1000 ]; then
    die 1 "there is a user $account who is no system user (number $uid). Rename or delete that account."
  fi
}

# --- the executable -----------------------------------------------------------------------------------------------

build() {
  local checkout owner
  checkout=$(cd "$here/.." && pwd)
  [ -f "$checkout/package.json" ] || die 1 "there is no checkout around $here. Name the executable: --binary PATH"
  step "Build the executable from $checkout" || return 0
  # Scripts of the checkout run as whoever it belongs to, and their files stay theirs.
  owner=$(stat -c %U "$checkout")
  local as=()
  [ "$owner" = root ] || [ "$owner" = UNKNOWN ] || as=(runuser -u "$owner" --)
  (
    cd "$checkout"
    umask 022
    "${as[@]}" sh .ci/build >&2
  ) || die 1 "the build failed."
}

# What is verified is a copy that nobody but root can change any more, and that copy is what is installed.
stage_release() {
  local name
  case $(uname -m) in
    x86_64) name=runegate-linux-x64 ;;
    aarch64) name=runegate-linux-arm64 ;;
    *) die 1 "there are no releases for $(uname -m)." ;;
  esac
  make_directory "$programs" 0755 root:root
  make_directory "$programs/bin" 0755 root:root
  [ -n "$dry" ] || alone
  step "Verify $name in $from" || return 0
  local copy file
  copy=$(mktemp -d "$programs/bin/.runegate.XXXXXX.tmp")
  for file in SHA256SUMS SHA256SUMS.minisig "$name"; do
    if [ -L "$from/$file" ] || [ ! -f "$from/$file" ]; then
      [ "$file" = SHA256SUMS.minisig ] && [ -n "$no_signature" ] && continue
      die 1 "there is no $from/$file, or it is no plain file."
    fi
    copy_from_stranger "$from/$file" "$copy/$file"
  done
  verify "$copy"
  # Of each file there is one line (as src/upgrade/release.ts has it).
  (cd "$copy" && grep -x "[0-9a-f]\{64\}  $name" SHA256SUMS | sha256sum --check --strict --status) ||
    die 1 "$name is not the file that was signed."
  stage "$copy/$name"
  rm -r "$copy"
}

# Whoever the folder belongs to may meanwhile exchange a file for a link, a pipe, or what never ends.
copy_from_stranger() {
  dd if="$1" of="$2" iflag=nofollow,nonblock,fullblock bs=64K count=16384 status=none || die 1 "$1 cannot be read."
  [ "$(stat -c %s "$2")" -lt 1073741824 ] || die 1 "$1 is larger than anything of a release."
}

# The signature of a release, and that it is no older version. Nothing of the release has been run yet.
verify() {
  if [ -n "$no_signature" ]; then
    tell "NOT VERIFIED: who made it is not known. A checksum from the same place says only that it came over whole."
    return
  fi
  if ! command -v minisign >/dev/null; then
    if env -i "PATH=$PATH" "$executable" upgrade --help >/dev/null 2>&1; then
      verify_by_installed "$1"
      return
    fi
    die 1 "verifying a signature takes minisign: apt-get install minisign. To do without: --no-signature"
  fi
  local keys=$public_key line comment='' version installed
  [ -n "$keys" ] || keys=$here/release-keys.pub
  if [ -f "$keys" ]; then keys=$(grep -x 'RW[A-Za-z0-9+/]\{54\}' "$keys" || true); fi
  [ -n "$keys" ] || die "$EX_USAGE" "no key is known, so say who must have signed it: --public-key KEY"
  for line in $keys; do
    # -H: prehashed signatures alone.
    comment=$(minisign -V -Q -H -m "$1/SHA256SUMS" -P "$line" 2>/dev/null) && break || comment=''
  done
  [ -n "$comment" ] || die 1 "the signature is not good for SHA256SUMS, or not by a key that is trusted here."
  [[ $comment =~ ^runegate\ ([0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?)\ commit\ [0-9a-f]{12}$ ]] ||
    die 1 "signed, but not as a release: the trusted comment names no version."
  version=${BASH_REMATCH[1]}
  tell "the signature is good: version $version"
  [ -x "$executable" ] && [ -z "$allow_rollback" ] || return 0
  # One that does not run any more is no reason not to mend it.
  installed=$(env -i "PATH=$PATH" "$executable" version --json | sed -n 's/.*"version":"\([^"]*\)".*/\1/p' || true)
  # A pre-release comes before its release: so does what has a ~ in this order.
  printf '%s\n' "$installed" "$version" | tr - '~' | sort --version-sort --check=quiet ||
    die 1 "$version is older than what is installed, $installed. To go back all the same: --allow-rollback"
}

verify_by_installed() {
  local arguments=(upgrade --from "$1" --dry-run) said
  [ -z "$public_key" ] || arguments+=(--public-key "$public_key")
  [ -z "$allow_rollback" ] || arguments+=(--allow-rollback)
  said=$(env -i "PATH=$PATH" "$executable" "${arguments[@]}") || die $? "the release was refused."
  tell "${said%%$'\n'*}"
}

# Puts the new executable beside the installed one, where the system it is for can try it.
stage() {
  make_directory "$programs" 0755 root:root
  make_directory "$programs/bin" 0755 root:root
  [ -n "$dry" ] || alone
  step "Copy $1 to $programs/bin and try it" || return 0
  staged=$(temporary_in "$programs/bin")
  copy_into "$staged" 0755 root:root <"$1"
  local version
  version=$(env -i "PATH=$PATH" "$staged" version) || die 1 "$1 does not run on this machine."
  tell "it is ${version%%$'\n'*}"
}

# Two at a time would take each other's files for leftovers. Let go of at the end of this process, however it ends.
alone() {
  [ -z "$is_alone" ] || return 0
  exec {lock}<"$programs/bin"
  flock --nonblock "$lock" || die 1 "another install.sh is at work."
  is_alone=yes
}

# --- account, directories, configuration --------------------------------------------------------------------------

create_account() {
  if ! getent group "$account" >/dev/null; then
    if step "Create the system group $account"; then groupadd --system "$account"; fi
  fi
  if getent passwd "$account" >/dev/null; then return; fi
  step "Create the system user $account" || return 0
  useradd --system --gid "$account" --home-dir /var/lib/runegate --no-create-home \
    --shell /usr/sbin/nologin --comment "Runegate" "$account"
}

create_directories() {
  make_directory "$settings" 0750 "root:$account"
  make_directory "$settings/config" 0750 "root:$account"
  # One that is there already systemd gives to the service, with all that is in it (StateDirectory=).
  [ -d "$data" ] || make_directory "$data" 0700 "$account:$account"
}

create_configuration() {
  if [ -d "$settings" ] && [ ! -x "$settings" ]; then
    tell "Only root can look into $settings: what is there is kept, what is missing is written"
    return
  fi
  if [ -e "$env_file" ]; then
    tell "Keep $env_file"
    protect "$env_file"
    if [ -n "$edge" ] && [[ $(option RUNEGATE_TLS) =~ ^(off)?$ ]]; then
      lack "$env_file has another edge. Write RUNEGATE_TLS=acme there, and take RUNEGATE_LISTEN and RUNEGATE_TRUSTED_PROXIES out."
    fi
  else
    step "Write $env_file" && {
      local base_url=${domain:+https://$domain}
      base_url=${edge:+https://$edge}$base_url
      sed "s|^RUNEGATE_BASE_URL=\$|RUNEGATE_BASE_URL=$base_url|" "$here/runegate.env.example" |
        as_edge | install_file "$env_file" 0640 "root:$account"
    }
  fi
  if [ -e "$email_file" ]; then
    tell "Keep $email_file"
    protect "$email_file"
  else
    step "Write $email_file" &&
      install_file "$email_file" 0640 "root:$account" <"$here/config/email.toml.example"
  fi
  return 0
}

# Where nothing is in front, Runegate listens where visitors come, and trusts no proxy.
as_edge() {
  if [ -z "$edge" ]; then cat && return; fi
  sed -e 's|^# Where nginx or Caddy finds Runegate\.|# TLS on port 443, with certificates that are ordered, and port 80 leads there.|' \
    -e 's|^RUNEGATE_LISTEN=.*|RUNEGATE_TLS=acme|'
}

# An existing file loses what others may do with it, whoever gave them that.
protect() {
  [ -z "$dry" ] || return 0
  chown "root:$account" "$1"
  chmod 0640 "$1"
}

add_secrets() {
  if properties_of_drop_ins | grep -Eq '^(Load|Set)Credential(Encrypted)?=runegate_(jwt_secret|session_key)\b'; then
    tell "Leave the secrets alone: a drop-in of the unit gives them as credentials"
    return
  fi
  step "Add the secrets that are missing to $env_file" || return 0
  env -i "PATH=$PATH" "$staged" secrets --env-file "$env_file" | sed 's/^/    /'
}

# What the administrator has added to the unit and the configuration depends on, line by line.
properties_of_drop_ins() {
  local file
  for file in "$drop_ins"/*.conf; do
    [ -f "$file" ] || continue
    # A line that ends in a backslash goes on.
    sed -e ':more' -e '/\\$/{N;s/\\\n/ /;bmore' -e '}' "$file" | grep -E '^(Environment|EnvironmentFile|(Load|Set)Credential(Encrypted)?)=' || true
  done
}

check_configuration() {
  step "Check the configuration with the new executable, as the service will read it" || return 0
  local code=0
  as_service "$staged" check | sed 's/^/    /' || code=$?
  case $code in
    0) ;;
    "$EX_CONFIG") would_start='' ;;
    *) die 1 "the configuration could not be checked (exit code $code)." ;;
  esac
  if [ -z "$would_start" ] && is_running; then
    die "$EX_CONFIG" "the new version would not start with this configuration. Nothing was switched: the old one runs on."
  fi
}

# Runs a command as the service would be run: same account, same environment, same credentials.
as_service() {
  local environment=("RUNEGATE_ENV_FILE=$env_file") properties
  [ -z "$root" ] || environment+=("RUNEGATE_EMAIL_CONFIG=$email_file")
  properties=$(properties_of_drop_ins)
  if [ -z "$properties" ]; then
    runuser -u "$account" -- env -i "PATH=$PATH" "${environment[@]}" "$@"
    return
  fi
  # Only systemd can read its credentials. A unit for the moment, because systemd-run would need D-Bus.
  local code said
  said=$(temporary_in "$programs/bin")
  mkdir -p "$(dirname "$trial_unit")"
  cat >"$trial_unit" <<UNIT
[Service]
Type=oneshot
User=$account
Group=$account
Environment=${environment[*]}
$properties
ExecStart=$*
StandardOutput=file:$said
StandardError=inherit
UNIT
  systemctl daemon-reload
  if systemctl start "${trial_unit##*/}" 2>/dev/null; then
    code=0
  else
    code=$(systemctl show --property=ExecMainStatus --value "${trial_unit##*/}")
    # It did not even begin.
    [ "$code" -ne 0 ] || code=1
  fi
  cat "$said"
  rm -f "$said" "$trial_unit"
  systemctl reset-failed "${trial_unit##*/}" 2>/dev/null || true
  systemctl daemon-reload
  return "$code"
}

# --- the other end of a tunnel -------------------------------------------------------------------------------------

install_connector() {
  if [ -e "$unit" ]; then
    # It is the service's to decide when that goes over to another version.
    [ -z "$given_binary$from" ] || die 1 "Runegate is installed here as a service too: upgrade that, then use --connect alone."
    tell "Keep $executable"
  else
    if [ -n "$from" ]; then
      stage_release
    else
      [ -n "$given_binary" ] || build
      stage "${given_binary:-$here/../dist/runegate}"
    fi
    place_programs
    place_executable
  fi
  place_token
  place_connect_unit
  start_connector
}

# root's alone: systemd hands it to the service, whose user is made for it and is nobody otherwise (DynamicUser=).
place_token() {
  step "Copy the token to $token_copy" || return 0
  [ -d "$settings" ] || make_directory "$settings" 0750 root:root
  install_file "$token_copy" 0600 root:root <"$token_file"
}

place_connect_unit() {
  step "Install $connect_unit and $tunnel_file" || return 0
  install_file "$connect_unit" 0644 root:root <"$here/systemd/runegate-connect.service"
  make_directory "$connect_drop_ins" 0755 root:root
  install_file "$tunnel_file" 0644 root:root <<CONF
[Service]
Environment=RUNEGATE_CONNECT_URL=$connect
Environment=RUNEGATE_CONNECT_TUNNEL=$tunnel
Environment="RUNEGATE_CONNECT_FLAGS=${targets[*]/#/--to }"
LoadCredential=token:${token_copy#"$root"}
CONF
  systemctl daemon-reload
}

start_connector() {
  if [ -n "$dry" ]; then
    [ -z "$start" ] || step "Enable runegate-connect, and start it" || true
    echo "Nothing was changed."
    return 0
  fi
  step "Enable runegate-connect"
  systemctl enable --quiet runegate-connect
  if [ -z "$start" ]; then return; fi
  step "Start it"
  systemctl restart runegate-connect || die 1 "it did not start. See: journalctl -u runegate-connect"
  local began=$SECONDS said
  until said=$(env -i "PATH=$PATH" "$executable" connect --status --tunnel "$tunnel" 2>&1); do
    [ $((SECONDS - began)) -lt $CONNECT_LIMIT ] ||
      die 1 "it is installed and goes on trying, but is not connected yet. ${said} See: journalctl -u runegate-connect"
    sleep 0.2
  done
  tell "$said"
  echo "The application is connected."
}

# --- switching ----------------------------------------------------------------------------------------------------

place_files() {
  if [ -e "$executable" ]; then had_executable=yes; fi
  step "Install $sysctl_file" && {
    [ -d "$root/etc/sysctl.d" ] || make_directory "$root/etc/sysctl.d" 0755 root:root
    install_file "$sysctl_file" 0644 root:root <"$here/sysctl/60-runegate.conf"
    # A container may not set them; Runegate works without.
    if [ -z "$root" ] && ! sysctl --quiet --load="$sysctl_file" >/dev/null 2>&1; then
      tell "the kernel settings could not be set now; they are tried again at the next boot"
    fi
  }
  place_programs
  place_unit
  if [ -n "$edge" ]; then place_edge; fi
  place_executable
}

place_programs() {
  step "Install $programs/uninstall.sh" &&
    install_file "$programs/uninstall.sh" 0755 root:root <"$here/uninstall.sh"
  if [ -e "$command_link" ] && [ "$(readlink "$command_link")" != /opt/runegate/bin/runegate ]; then
    tell "Leave $command_link alone: it is something else"
  elif step "Link $command_link to the executable"; then
    [ -d "$root/usr/local/bin" ] || make_directory "$root/usr/local/bin" 0755 root:root
    ln -sfn /opt/runegate/bin/runegate "$command_link"
  fi
}

place_unit() {
  step "Install $unit" || return 0
  if [ -e "$unit" ]; then
    replaced_unit=$(temporary_in "$units")
    copy_into "$replaced_unit" 0644 root:root <"$unit"
  fi
  switched=yes
  install_file "$unit" 0644 root:root <"$here/systemd/runegate.service"
  if [ "$(systemd_version)" -ge 254 ]; then
    make_directory "$drop_ins" 0755 root:root
    install_file "$backoff" 0644 root:root <"$here/systemd/runegate-backoff.conf"
  fi
  systemctl daemon-reload
}

place_edge() {
  step "Install $edge_ports: ports 80 and 443 for the service" || return 0
  if [ ! -e "$edge_ports" ]; then
    replaced_edge=new
  elif ! cmp -s "$here/systemd/runegate-edge.conf" "$edge_ports"; then
    replaced_edge=changed
  fi
  make_directory "$drop_ins" 0755 root:root
  install_file "$edge_ports" 0644 root:root <"$here/systemd/runegate-edge.conf"
  systemctl daemon-reload
}

place_executable() {
  # Then the one before it stays the way back.
  if [ -n "$staged" ] && cmp -s "$staged" "$executable"; then
    tell "Keep $executable: it is the same"
    return
  fi
  # After a rollback they are one file, and mv refuses to rename one onto itself.
  if [ -e "$executable" ] && [ ! "$executable" -ef "$previous" ]; then
    step "Keep the version before as $previous" && {
      local kept
      kept=$(temporary_in "$programs/bin")
      ln -f "$executable" "$kept"
      mv -f "$kept" "$previous"
    }
  fi
  step "Put the new executable in place" || return 0
  replaced_executable=yes
  mv -f "$staged" "$executable"
}

# Brings the service onto the files that are in place now.
#
# A running Runegate whose executable has been replaced starts the new one at a reload and hands its address over to it,
# so that no connection is refused; the main process is then another. That takes a store that two processes can share,
# and an address that is no unix socket. Everything else is a restart.
switch_over() {
  if [ -n "$dry" ]; then
    if [ -n "$start" ]; then step "Enable the service, and start it or switch it over" || true; fi
    return 0
  fi
  if ! is_running && [ -z "$would_start" ]; then
    switched=''
    return
  fi
  step "Enable the service"
  systemctl enable --quiet runegate
  if [ -z "$start" ]; then
    tell "Leave the service as it is; a reload or restart brings in the new version"
  elif ! is_running; then
    step "Start the service"
    systemctl restart runegate || die 1 "the service did not start. See: journalctl -u runegate"
  elif can_hand_over; then
    step "Reload the service: the new executable takes over, and no connection is refused"
    reloading=yes
    systemctl reload runegate || die 1 "the service could not be reloaded. See: journalctl -u runegate"
    local taken_over=yes
    wait_for_takeover || taken_over=''
    reloading=''
    [ -n "$taken_over" ] || die 1 "the new version did not take over. See: journalctl -u runegate"
  else
    step "Restart the service"
    systemctl restart runegate || die 1 "the new version did not start. See: journalctl -u runegate"
  fi
  if [ -n "$start" ]; then
    is_running || die 1 "the service did not stay up. See: journalctl -u runegate"
    tell "$(systemctl show --property=StatusText --value runegate) [$(systemctl is-active runegate)]"
  fi
  if [ -n "$replaced_unit" ] && ! cmp -s "$replaced_unit" "$unit"; then
    tell "the unit has changed: its limits and restrictions hold from the next restart on"
  fi
  switched=''
}

is_running() { [[ $(systemctl is-active runegate 2>/dev/null) =~ ^(active|reloading)$ ]]; }

can_hand_over() {
  [ -z "$replaced_edge" ] || return 1
  # Nobody keeps the word "memory" in a file of its own.
  [[ $(option RUNEGATE_STORE)$(option RUNEGATE_STORE_FILE) =~ ^(sqlite:|valkeys?:|rediss?:|postgres(ql)?:|/) ]] &&
    [[ $(option RUNEGATE_LISTEN) != unix:* ]] && [[ $(option RUNEGATE_CHECK_LISTEN) != unix:* ]]
}

# Waits until the main process is one of the executable in place; gives up when a reload has come and gone without.
wait_for_takeover() {
  local began=$SECONDS
  while [ $((SECONDS - began)) -lt "$SWITCH_LIMIT" ]; do
    local state
    state=$(systemctl is-active runegate || true)
    if [ "$state" = active ]; then
      if runs_what_is_there; then return 0; fi
      [ $((SECONDS - began)) -lt $RELOAD_BEGINS ] || return 1
    elif [ "$state" != reloading ]; then
      return 1
    fi
    sleep 0.2
  done
  return 1
}

runs_what_is_there() {
  local pid
  pid=$(systemctl show --property=MainPID --value runegate)
  [ "$(stat -L -c %d:%i "/proc/$pid/exe" 2>/dev/null)" = "$(stat -c %d:%i "$executable")" ]
}

# Waits until a reload that was asked for has begun, and is over.
settle() {
  local began=$SECONDS
  while [ $((SECONDS - began)) -lt $RELOAD_BEGINS ] && [ "$(systemctl is-active runegate)" = active ]; do
    sleep 0.2
  done
  while [ $((SECONDS - began)) -lt $SWITCH_LIMIT ] && [ "$(systemctl is-active runegate)" = reloading ]; do
    sleep 0.2
  done
}

# Puts the version before back, and starts it if it does not run any more.
roll_back() {
  switched=''
  if [ -z "$had_executable" ]; then
    tell "Stop the service: there is no version before to go back to"
    systemctl stop runegate
    return
  fi
  tell "Put the version before back"
  if [ -n "$replaced_unit" ]; then
    mv -f "$replaced_unit" "$unit"
  fi
  [ "$replaced_edge" != new ] || rm -f "$edge_ports"
  # Until then the one that is kept is an older one.
  if [ -n "$replaced_executable" ] && [ ! "$executable" -ef "$previous" ]; then
    local back
    back=$(temporary_in "$programs/bin")
    ln -f "$previous" "$back"
    mv -f "$back" "$executable"
  fi
  systemctl daemon-reload
  [ -n "$start" ] || return 0
  # Interrupted meanwhile, it may be on its way to the version that is no longer there.
  [ -z "$reloading" ] || settle
  if is_running && runs_what_is_there; then
    tell "the version before runs on"
  elif systemctl restart runegate; then
    tell "the version before was started again"
  else
    tell "the version before did not start either. See: journalctl -u runegate"
  fi
}

# --- nginx --------------------------------------------------------------------------------------------------------

check_nginx() {
  command -v nginx >/dev/null || lack "--setup-nginx needs nginx. Install it: apt-get install nginx"
  local file missing=''
  for file in "$certificate" "$key"; do
    [[ $file =~ ^/[A-Za-z0-9._/@+-]+$ ]] || misuse "nginx wants a plain absolute path, and $file is none."
    [ -f "$file" ] || missing=${missing:-$file}
  done
  [ -z "$missing" ] || lack "there is no $missing$(unless_hidden "$missing"). Get a certificate first, for example:
    apt-get install certbot && certbot certonly --webroot -w /var/www/html -d $domain --deploy-hook \"systemctl reload nginx\""
}

# certbot's folders are root's.
unless_hidden() { [ "$(id -u)" -eq 0 ] || echo " that could be seen without being root"; }

setup_nginx() {
  local site="$nginx/sites-available/runegate.conf" link="$nginx/sites-enabled/runegate.conf"
  # nginx.org's packages have one folder only.
  if [ ! -d "$nginx/sites-available" ] && [ -d "$nginx/conf.d" ]; then site="$nginx/conf.d/runegate.conf" link=''; fi
  step "Install the nginx site $site for $domain" || { step "Test it and reload nginx" || return 0; }
  local content before='' was_enabled=''
  content=$(site_for_domain)
  if [ -e "$site" ]; then
    before=$(temporary_in "$(dirname "$site")")
    copy_into "$before" 0644 root:root <"$site"
  fi
  if [ -L "$link" ]; then was_enabled=yes; fi
  install_file "$site" 0644 root:root <<<"$content"
  [ -z "$link" ] || ln -sfn "${site#"$root"}" "$link"
  if ! nginx -t -q; then
    if [ -n "$before" ]; then mv -f "$before" "$site"; else rm -f "$site"; fi
    if [ -n "$link" ] && [ -z "$was_enabled" ]; then rm -f "$link"; fi
    die 1 "nginx -t refuses the site, so it was taken out again. Runegate itself is installed."
  fi
  if [ -n "$before" ] && ! cmp -s "$before" "$site"; then
    mv -f "$before" "$site.previous"
    tell "the site before is kept as $site.previous"
  fi
  step "Reload nginx"
  systemctl reload-or-restart nginx || die 1 "nginx could not be reloaded. See: journalctl -u nginx"
}

site_for_domain() {
  local listen
  listen=$(option RUNEGATE_LISTEN)
  listen=${listen:-127.0.0.1:7870}
  # nginx is on this machine, where "every address" is not one to connect to.
  case $listen in
    0.0.0.0:*) listen=127.0.0.1:${listen##*:} ;;
    '[::]':*) listen="[::1]:${listen##*:}" ;;
  esac
  # A ] counts as a character where it comes first.
  local address='^[][A-Za-z0-9._:/-]+$'
  [[ $listen =~ $address ]] || die 1 "RUNEGATE_LISTEN is nothing that nginx could connect to."
  sed -e "s|/etc/letsencrypt/live/app.example.org/fullchain.pem|$certificate|" \
    -e "s|/etc/letsencrypt/live/app.example.org/privkey.pem|$key|" \
    -e "s|app\.example\.org|$domain|g" \
    -e "s|server 127\.0\.0\.1:7870|server $listen|" \
    "$here/nginx/runegate-nginx.conf"
}

# --- the end ------------------------------------------------------------------------------------------------------

finish() {
  if [ -n "$show_secrets" ] && [ -z "$dry" ]; then
    tell "The secrets in $env_file:"
    grep -E '^[[:space:]]*RUNEGATE_(JWT_SECRET|SESSION_KEY)(_PREVIOUS)?[[:space:]]*=' "$env_file" | sed 's/^/    /' || true
  fi
  if [ -n "$dry" ]; then
    echo "Nothing was changed."
    return
  fi
  if [ -n "$would_start" ]; then
    echo "Runegate is installed."
    return
  fi
  cat <<TODO
Runegate is installed, and not started, because its configuration is not complete. Still to do:

  - $env_file: RUNEGATE_BASE_URL, RUNEGATE_ALLOWED_EMAILS (or _DOMAINS), RUNEGATE_TARGET_SERVICE
  - $email_file: the mail server, and whom mail is from

Then see whether all is well, and start it:

  runegate check --online
  systemctl enable --now runegate
TODO
  exit "$EX_CONFIG"
}

# The value of an option in the env file; the last line counts.
option() {
  [ -r "$env_file" ] || return 0
  sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" "$env_file" | tail -n 1 | sed "s/[[:space:]]*\$//; s/^[\"']//; s/[\"']\$//"
}

systemd_version() {
  local said
  said=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  echo "${said:-0}"
}

# --- files --------------------------------------------------------------------------------------------------------

# Also takes from a directory that is there what others may do with it.
make_directory() {
  if [ ! -d "$1" ]; then
    step "Create $1" || return 0
    (umask 022 && mkdir -p "$(dirname "$1")")
    mkdir "$1"
  elif [ -n "$dry" ]; then
    return 0
  fi
  chown "$3" "$1"
  chmod "$2" "$1"
}

# Writes standard input to a file that whoever reads it sees whole, old or new, and nobody sees who may not.
install_file() {
  local temporary
  temporary=$(temporary_in "$(dirname "$1")")
  copy_into "$temporary" "$2" "$3"
  mv -f "$temporary" "$1"
}

copy_into() {
  cat >"$1"
  # Owner first: changing it may clear mode bits.
  chown "$3" "$1"
  chmod "$2" "$1"
  sync "$1"
}

# A new file that nobody but root can read; gone at the end if it is still there. Names that nginx, systemd and sysctl
# take for none of theirs.
temporary_in() {
  mktemp "$1/.runegate.XXXXXX.tmp"
}

# --- saying -------------------------------------------------------------------------------------------------------

# Says what is done next; false in a dry run, so that it is not done.
step() {
  if [ -n "$dry" ]; then
    echo "would: $1"
    return 1
  fi
  echo "- $1"
}

tell() { echo "  $1"; }

# Says what has to be there first, and is the end of it; but for a dry run, which goes on.
lack() {
  [ -n "$dry" ] || die 1 "$1"
  echo "first: $1"
}

misuse() {
  echo "install.sh: $1" >&2
  echo "install.sh --help lists the options." >&2
  exit "$EX_USAGE"
}

die() {
  echo "install.sh: $2" >&2
  exit "$1"
}

clean_up() {
  local code=$?
  trap - EXIT
  # Half a way back is none.
  trap '' INT TERM HUP PIPE
  set +e
  if [ "$code" -ne 0 ] && [ -n "$switched" ]; then roll_back; fi
  if [ -n "$is_alone" ]; then
    rm -rf "$trial_unit" "$programs"/bin/.runegate.*.tmp "$programs"/.runegate.*.tmp "$settings"/.runegate.*.tmp \
      "$settings"/config/.runegate.*.tmp "$units"/.runegate.*.tmp "$drop_ins"/.runegate.*.tmp "$connect_drop_ins"/.runegate.*.tmp \
      "$root"/etc/sysctl.d/.runegate.*.tmp "$nginx"/*/.runegate.*.tmp
  fi
  exit "$code"
}

main "$@"
