import { listenAddress } from "../net/endpoint.ts";
import { type Declaration, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { boolean, choice, filePath } from "../option/values.ts";

export const TLS_OPTIONS = {
  tls: {
    name: "RUNEGATE_TLS",
    parse: choice("off", "files", "self-signed"),
    default: "off",
    help:
      "Whether Runegate speaks TLS itself: `files` with the certificates of RUNEGATE_TLS_CERT; `self-signed`, for development, with " +
      "ones of an authority that it makes.",
    words: ["off", "files", "self-signed"],
  },
  tlsDirectory: {
    name: "RUNEGATE_TLS_DIRECTORY",
    parse: filePath,
    default: {
      described: "a folder beside the control socket",
      text: (known) => `${known.runtimeDirectory}/certificates`,
    },
    help: "Where the authority of `self-signed` is kept. Its `authority.pem` is what a browser may be told to trust.",
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

/** RFC 6797 §6.1. */
function hsts(text: string): string {
  if (text === "off") return "";
  if (/^max-age=\d{1,10}(?:; ?includeSubDomains)?(?:; ?preload)?$/.test(text)) return text;
  throw new ValueError(
    `is not a Strict-Transport-Security: ${quote(text)}`,
    "Write max-age=31536000, if you like with ; includeSubDomains, or off.",
  );
}
