#!/bin/sh
# A hook for RUNEGATE_ACME_DNS_HOOK: TXT records by dynamic update (RFC 2136), as BIND, Knot and PowerDNS take it. Needs
# `nsupdate` (Debian: bind9-dnsutils) and a key that may change these records alone, such as, for BIND,
#
#     update-policy { grant runegate. name _acme-challenge.example.org. TXT; };
#
# with the key in /etc/runegate/dns.key, for the service alone to read. Copy it and put your name server below.
#
# The first argument is present or cleanup, then come the record's name and its value. Two certificates may be proved by
# the same name at once: what is added or taken out is this one value. Values may begin with a dash.
set -eu

server="${DNS_SERVER:-127.0.0.1}"
port="${DNS_PORT:-53}"
key="${DNS_KEY:-/etc/runegate/dns.key}"

case $1 in
  present) change="update add $2. 60 TXT \"$3\"" ;;
  cleanup) change="update delete $2. TXT \"$3\"" ;;
  *) echo "usage: $0 present|cleanup NAME VALUE" >&2; exit 64 ;;
esac

nsupdate -k "$key" -t 30 <<END
server $server $port
$change
send
END
