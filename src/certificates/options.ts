import { type Address, parseAddress } from "../identity/address.ts";
import { explained } from "../identity/values.ts";
import { listenAddress } from "../net/endpoint.ts";
import { normalHost } from "../net/host.ts";
import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { boolean, choice, duration, filePath, list, MINUTE } from "../option/values.ts";

export type TlsOptions = OptionsOf<typeof TLS_OPTIONS>;

const LETS_ENCRYPT = {
  production: "https://acme-v02.api.letsencrypt.org/directory",
  staging: "https://acme-staging-v02.api.letsencrypt.org/directory",
};

export const TLS_OPTIONS = {
  tls: {
    name: "RUNEGATE_TLS",
    parse: choice("off", "acme", "files", "self-signed"),
    default: "off",
    help:
      "Whether Runegate speaks TLS itself: `acme` with certificates that it orders for its hosts (Let's Encrypt); `files` with the certificates of RUNEGATE_TLS_CERT; `self-signed`, for development, with " +
      "ones of an authority that it makes.",
    words: ["off", "acme", "files", "self-signed"],
  },
  tlsDirectory: {
    name: "RUNEGATE_TLS_DIRECTORY",
    parse: filePath,
    default: {
      described: "`/var/lib/runegate/certificates` with `acme`, else a folder beside the control socket",
      text: (known) =>
        known.textOf("tls") === "acme"
          ? "/var/lib/runegate/certificates"
          : `${known.runtimeDirectory}/certificates`,
    },
    help:
      "Where the account and the certificates of `acme` are kept, and the authority of `self-signed`: its `authority.pem` is what a " +
      "browser may be told to trust.",
  },
  acmeDirectory: {
    name: "RUNEGATE_ACME_DIRECTORY",
    parse: acmeDirectory,
    default: LETS_ENCRYPT.production,
    help:
      "Of the authority that certificates are ordered from; `staging` is that of Let's Encrypt for trying it out, whose certificates no " +
      "browser trusts.",
    words: ["staging"],
  },
  acmeCa: {
    name: "RUNEGATE_ACME_CA",
    parse: filePath,
    default: unset("the system's authorities"),
    help: "A file of certificates to trust the authority's own server by (PEM), for a private one.",
  },
  acmeEmail: {
    name: "RUNEGATE_ACME_EMAIL",
    parse: contact,
    default: unset(""),
    help: "Where the authority may write to about the certificates.",
  },
  acmeEabId: {
    name: "RUNEGATE_ACME_EAB_KID",
    parse: word,
    default: unset(""),
    help: "The name of an account that the authority knows already, where it asks for one (external account binding).",
  },
  acmeEabKey: {
    name: "RUNEGATE_ACME_EAB_HMAC",
    parse: word,
    default: unset(""),
    secret: true,
    help: "The key of that account, base64url.",
  },
  acmeDnsHook: {
    name: "RUNEGATE_ACME_DNS_HOOK",
    parse: filePath,
    default: unset(""),
    help:
      "A program that writes TXT records, by which wildcards are proved, and all names where plain http is answered nowhere: it is called with " +
      "`present NAME VALUE`, and then with `cleanup NAME VALUE`. Nobody else may be able to change it.",
  },
  acmeDnsWait: {
    name: "RUNEGATE_ACME_DNS_WAIT",
    parse: duration("s", 0, 2 * MINUTE),
    default: "0",
    help: "How long the authority is kept from looking, once the hook has written a record: for name servers that follow later.",
  },
  acmeWildcards: {
    name: "RUNEGATE_ACME_WILDCARDS",
    parse: list(wildcard),
    default: "",
    help: "Wildcards such as `*.example.org` to have one certificate for, in place of one for each of their hosts.",
  },
  tlsCert: {
    name: "RUNEGATE_TLS_CERT",
    parse: filePath,
    default: unset(""),
    help:
      "A certificate with its chain (PEM), or a folder of several: `NAME.crt` with `NAME.key`, or `NAME/fullchain.pem` with " +
      "`NAME/privkey.pem`. When they change they are exchanged, and no connection is lost.",
  },
  tlsKey: {
    name: "RUNEGATE_TLS_KEY",
    parse: filePath,
    default: unset("beside the certificates, if these are a folder"),
    help: "The key of the certificate (PEM, without a passphrase), or the folder of keys. Nobody else may read it.",
  },
  http2: {
    name: "RUNEGATE_HTTP2",
    parse: boolean,
    default: "true",
    help: "Whether browsers may speak HTTP/2, where there is TLS.",
  },
  hsts: {
    name: "RUNEGATE_HSTS",
    parse: hsts,
    default: "max-age=31536000",
    help: "With TLS, `Strict-Transport-Security` of every answer that has none: browsers then come by https only. `off` sends none.",
    words: ["off"],
  },
} satisfies Declaration;

export const HTTP_LISTEN = {
  name: "RUNEGATE_HTTP_LISTEN",
  parse: (text: string) => (text === "off" ? ("off" as const) : listenAddress(text)),
  default: unset("port 80 with TLS on port 443"),
  help: "With TLS, where plain http is answered: by a redirect to https, and nothing else. `off` answers nowhere.",
  words: ["off"],
} as const;

function contact(text: string): Address {
  return explained(parseAddress, text, `is no address: ${quote(text)}`, "");
}

function acmeDirectory(text: string): string {
  if (text === "staging") return LETS_ENCRYPT.staging;
  if (/^https:\/\/[^/?#@\s]+\/\S*$/.test(text) && URL.canParse(text)) return text;
  throw new ValueError(`is no https URL: ${quote(text)}`, "Write the directory's URL, or staging.");
}

function word(text: string): string {
  if (/^[\w.~+/=-]{1,300}$/.test(text)) return text;
  throw new ValueError("is not what authorities give out", "Copy it as it stands there.");
}

function wildcard(text: string): string {
  const host = text.startsWith("*.") ? normalHost(text.slice(2)) : undefined;
  if (host !== undefined && /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/.test(host)) return `*.${host}`;
  throw new ValueError(`is no wildcard: ${quote(text)}`, "Write one such as *.example.org.");
}

/** RFC 6797 §6.1. */
function hsts(text: string): string {
  if (text === "off") return "";
  if (/^max-age=\d{1,10}(?:; ?includeSubDomains)?(?:; ?preload)?$/.test(text)) return text;
  throw new ValueError(
    `is not a Strict-Transport-Security: ${quote(text)}`,
    "Write max-age=31536000, if you like with ; includeSubDomains, or off.",
  );
}
