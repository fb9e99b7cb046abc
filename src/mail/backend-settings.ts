import { parseIp } from "../net/ip.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { type Report, type TableOf, text } from "../option/table.ts";
import { quote, ValueError, withoutUserinfo } from "../option/value-error.ts";
import { choice, filePath } from "../option/values.ts";
import { nodeCrypto } from "../secret/node-crypto.ts";

/** The keys of `email.toml` that say what takes the mail: a server, a service or a directory. */

const TLS_MODES = ["starttls", "implicit", "none"] as const;
export type TlsMode = (typeof TLS_MODES)[number];

const API_NAMES = ["ses", "sendgrid", "mailgun", "postmark", "resend"] as const;
/** Mail services that take mail by HTTP. */
export type ApiName = (typeof API_NAMES)[number];
const BACKEND_NAMES = ["smtp", ...API_NAMES, "file"] as const;

/** What `email.toml` names beside itself. @throws {ValueError} from each, none of which repeats what is in a file. */
export type Files = {
  /** A secret, of which line ends around it are no part. */
  secret(name: string): string;
  /** The same from a systemd credential; undefined if there is none of this name. */
  credential(name: string): string | undefined;
  /** A template, which is not to be secret. */
  text(name: string): { readonly path: string; readonly text: string };
  /** A path, from that of `email.toml`. */
  path(name: string): string;
};

/** How one server, service or directory is reached. */
export function backendKeys(files: Files) {
  return {
    kind: {
      name: "backend",
      parse: text((written) => choice(...BACKEND_NAMES)(oneLine(written))),
      example: "smtp",
      help: `What takes the mail: ${BACKEND_NAMES.map((name) => `\`${name}\``).join(", ")}. Where left out, \`smtp\`.`,
      optional: true,
    },
    host: {
      name: "smtp_host",
      parse: text(smtpHost),
      example: "smtp.example.org",
      help: "Name of the mail server.",
      optional: true,
    },
    port: {
      name: "smtp_port",
      parse: smtpPort,
      example: 587,
      help: "Its port, usually 587 or 465.",
      optional: true,
    },
    user: {
      name: "smtp_user",
      parse: text(credential),
      example: "login@example.org",
      help: "The login there; left out with `smtp_pass` for a server that needs none.",
      optional: true,
    },
    pass: {
      name: "smtp_pass",
      parse: text(credential),
      example: "change me",
      help: "Its password, or what the mail service gives out as one.",
      optional: true,
    },
    tls: {
      name: "smtp_tls",
      parse: text((written) => choice(...TLS_MODES)(oneLine(written))),
      example: "starttls",
      help: "`starttls`, `implicit` (where left out, on port 465), or `none` (on this machine only).",
      optional: true,
    },
    apiKey: {
      name: "api_key_file",
      parse: text((written) => files.secret(oneLine(written))),
      example: "/etc/runegate/sendgrid.key",
      help:
        "A file with the API key of a service, and nothing else; for SES, access key and secret on two lines. Where left " +
        "out, the systemd credential `runegate_<backend>_api_key`.",
      optional: true,
    },
    region: {
      name: "region",
      parse: text((written) => label(oneLine(written))),
      example: "eu-central-1",
      help: "Of SES: the region.",
      optional: true,
    },
    domain: {
      name: "domain",
      parse: text(smtpHost),
      example: "mg.example.org",
      help: "Of Mailgun: the domain that sends.",
      optional: true,
    },
    endpoint: {
      name: "endpoint",
      parse: text((written) => apiOrigin(oneLine(written))),
      example: "https://api.eu.mailgun.net",
      help: "Of a service that has several: where its API is, such as `https://api.eu.sendgrid.com`.",
      optional: true,
    },
    bounceKeyFile: {
      name: "bounce_key_file",
      parse: text((written) => files.secret(oneLine(written))),
      example: "/etc/runegate/bounces.key",
      help:
        "A file with what the service's notices of mail that came back are known by, which turns `/_runegate/hooks/bounce/<backend>` " +
        "on: SendGrid's public key, Mailgun's webhook signing key, Resend's signing secret, `user:password` for Postmark.",
      optional: true,
    },
    bounceTopic: {
      name: "bounce_topic",
      parse: text((written) => snsTopic(oneLine(written))),
      example: "arn:aws:sns:eu-central-1:123456789012:bounces",
      help: "The same for SES: the ARN of the SNS topic.",
      optional: true,
    },
    dkimDomain: {
      name: "dkim_domain",
      parse: text(smtpHost),
      example: "example.org",
      help:
        "For a server of your own that does not do it: signs mail (DKIM) for this domain, that of `from_address` or above it; with " +
        "the two that follow.",
      optional: true,
    },
    dkimSelector: {
      name: "dkim_selector",
      parse: text((written) => dkimSelector(oneLine(written))),
      example: "runegate",
      help: "The public key is in DNS, as TXT of `<selector>._domainkey.<domain>`.",
      optional: true,
    },
    dkimKey: {
      name: "dkim_key_file",
      parse: text((written) => rsaKey(files.secret(oneLine(written)))),
      example: "/etc/runegate/dkim.pem",
      help: "A file with the private key: RSA, in PEM.",
      optional: true,
    },
    directory: {
      name: "directory",
      parse: text((written) => files.path(filePath(oneLine(written)))),
      example: "/var/lib/runegate/mail",
      help: "Of `file`: where each mail is written, as a file that ends in `.eml`.",
      optional: true,
    },
  } as const;
}

export type BackendValues = TableOf<ReturnType<typeof backendKeys>>;
export type BackendKey = keyof BackendValues;

/** What each kind takes; the first ones have to be there. */
const TAKES: Readonly<Record<(typeof BACKEND_NAMES)[number], readonly [BackendKey[], BackendKey[]]>> = {
  smtp: [
    ["host", "port"],
    ["user", "pass", "tls", "dkimDomain", "dkimSelector", "dkimKey"],
  ],
  ses: [["region"], ["apiKey", "endpoint", "bounceTopic"]],
  sendgrid: [[], ["apiKey", "endpoint", "bounceKeyFile"]],
  mailgun: [["domain"], ["apiKey", "endpoint", "bounceKeyFile"]],
  postmark: [[], ["apiKey", "endpoint", "bounceKeyFile"]],
  resend: [[], ["apiKey", "endpoint", "bounceKeyFile"]],
  file: [["directory"], ["dkimDomain", "dkimSelector", "dkimKey"]],
};

const ENDPOINTS: Readonly<Record<Exclude<ApiName, "ses">, string>> = {
  sendgrid: "https://api.sendgrid.com",
  mailgun: "https://api.mailgun.net",
  postmark: "https://api.postmarkapp.com",
  resend: "https://api.resend.com",
};

export type SmtpBackend = Pick<BackendValues, "user" | "pass"> & {
  readonly kind: "smtp";
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly dkim: Dkim | undefined;
};
/** `key` is PEM. */
export type Dkim = { readonly domain: string; readonly selector: string; readonly key: string };
export type ApiBackend = {
  readonly kind: ApiName;
  readonly apiKey: string;
  /** Of SES. */
  readonly region: string;
  /** Of Mailgun. */
  readonly domain: string;
  /** An origin. */
  readonly endpoint: string;
  /** What its notices of mail that came back are known by; undefined if none are taken. */
  readonly bounceKey: string | undefined;
};
export type FileBackend = {
  readonly kind: "file";
  readonly directory: string;
  readonly dkim: Dkim | undefined;
};
export type Backend = SmtpBackend | ApiBackend | FileBackend;

/** What has to be filled in, in a file that began as the example. */
const FILL_IN = {
  host: "Write the name of your mail server, such as smtp.gmail.com.",
  user: "Write your user name there, or remove smtp_user and smtp_pass.",
  pass: "Write the password, or what your mail service gives out as one.",
} as const;

export function checkBackend(files: Files, keys: ReturnType<typeof backendKeys>) {
  return (values: Partial<BackendValues>, report: Report<BackendKey>): void => {
    const { user, pass, host, tls, kind = "smtp" } = values;
    if (!("kind" in values)) return;
    const [needed, optional] = TAKES[kind];
    for (const key of needed) {
      // A key that is there and wrong has been reported already.
      if (key in values && values[key] === undefined)
        report(
          "error",
          key,
          "is missing",
          `Add a line: ${keys[key].name} = ${JSON.stringify(keys[key].example)}`,
        );
    }
    for (const key of Object.keys(keys) as BackendKey[]) {
      if (values[key] === undefined || key === "kind" || needed.includes(key) || optional.includes(key))
        continue;
      report("warning", key, `means nothing to the back-end ${kind}`, "Remove it.");
    }
    if (isApi(kind)) {
      const problem = apiKeyProblem(kind, files, values);
      if (problem !== undefined) report("error", "apiKey", problem.problem, problem.remedy);
      const { bounceKeyFile } = values;
      if (bounceKeyFile !== undefined && !BOUNCE_KEYS[kind].test(bounceKeyFile))
        report("error", "bounceKeyFile", "does not have what this service gives out", BOUNCE_REMEDY);
      return;
    }
    const dkim = ["dkimDomain", "dkimSelector", "dkimKey"] as const;
    for (const key of dkim) {
      if (values[key] !== undefined || !(key in values) || dkim.every((one) => values[one] === undefined))
        continue;
      report("error", key, "is missing, and the others of DKIM are there", "Set all three, or none.");
    }
    if (kind !== "smtp") return;
    if (user !== undefined && "pass" in values && pass === undefined)
      report("error", "pass", "is missing while smtp_user is set", "Set both, or neither.");
    if (pass !== undefined && "user" in values && user === undefined)
      report("error", "user", "is missing while smtp_pass is set", "Set both, or neither.");
    for (const key of ["host", "user", "pass"] as const) {
      if (values[key] === keys[key].example) report("error", key, "is still the example's", FILL_IN[key]);
    }
    if (tls === "none" && host !== undefined && !isLoopbackHost(host)) {
      report(
        "error",
        "tls",
        `is none, and ${host} is another machine, so links could be read on the way`,
        "Write starttls or implicit.",
      );
    }
  };
}

function isApi(kind: (typeof BACKEND_NAMES)[number]): kind is ApiName {
  return kind !== "smtp" && kind !== "file";
}

const BASE64 = "[A-Za-z0-9+/]{20,}={0,2}";

const BOUNCE_KEYS: Readonly<Record<ApiName, RegExp>> = {
  ses: /$^/,
  sendgrid: new RegExp(`^${BASE64}$`),
  mailgun: /^\S{16,}$/,
  postmark: /^[^:\s]+:\S{16,}$/,
  resend: new RegExp(`^whsec_${BASE64}$`),
};

const BOUNCE_REMEDY =
  "Copy it from the service's page of webhooks; for Postmark, make up a user and a password of at least 16 characters, and write " +
  "user:password.";

const credentialOf = (kind: ApiName) => `runegate_${kind}_api_key`;

function apiKeyProblem(kind: ApiName, files: Files, values: Partial<BackendValues>): ValueError | undefined {
  if (!("apiKey" in values)) return undefined;
  try {
    const key = values.apiKey ?? files.credential(credentialOf(kind));
    if (key === undefined)
      return new ValueError(
        `is missing, and there is no credential ${credentialOf(kind)}`,
        "Write the API key of the service into a file of its own, readable by Runegate alone, and name it.",
      );
    if (kind === "ses" && sesKeyOf(key) === undefined)
      return new ValueError(
        "does not have an access key and a secret",
        "Write the access key ID on its first line and the secret access key on the second.",
      );
    if (kind !== "ses" && !/^[\x21-\x7e]+$/.test(key))
      return new ValueError("has more than a key", "Write the API key into the file and nothing else.");
    return undefined;
  } catch (error) {
    if (error instanceof ValueError) return error;
    throw error;
  }
}

/** The parts of an AWS key: ID, secret and, of a temporary one, the token. */
export function sesKeyOf(key: string): readonly [string, string, string?] | undefined {
  const [id, secret, token, ...more] = key.split(/[\s:]+/);
  if (!id || !secret || more.length > 0) return undefined;
  return token === undefined ? [id, secret] : [id, secret, token];
}

export function backendOf(values: BackendValues, files: Files): Backend {
  const {
    kind = "smtp",
    host = "",
    port = 0,
    user,
    pass,
    tls,
    region = "",
    domain = "",
    directory = "",
  } = values;
  const { dkimDomain, dkimSelector: selector = "", dkimKey = "" } = values;
  const dkim = dkimDomain === undefined ? undefined : { domain: dkimDomain, selector, key: dkimKey };
  if (kind === "smtp")
    return { kind, host, port, user, pass, dkim, tls: tls ?? (port === 465 ? "implicit" : "starttls") };
  if (kind === "file") return { kind, directory, dkim };
  const apiKey = values.apiKey ?? files.credential(credentialOf(kind)) ?? "";
  const usual = kind === "ses" ? `https://email.${region}.${awsDomain(region)}` : ENDPOINTS[kind];
  const bounceKey = kind === "ses" ? values.bounceTopic : values.bounceKeyFile;
  return { kind, apiKey, region, domain, endpoint: values.endpoint ?? usual, bounceKey };
}

/** Where AWS has the services of a region. */
export function awsDomain(region: string): string {
  return region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

/** One label of a host name. */
function label(written: string): string {
  if (/^[a-z0-9-]{1,63}$/.test(written)) return written;
  throw new ValueError(`is not the name of a region: ${quote(written)}`, "Write one such as eu-central-1.");
}

function snsTopic(written: string): string {
  if (SNS_TOPIC.test(written)) return written;
  const remedy = "Write one such as arn:aws:sns:eu-central-1:123456789012:bounces.";
  throw new ValueError(`is not the ARN of a topic: ${quote(written)}`, remedy);
}

/** Labels of a host name. */
function dkimSelector(written: string): string {
  if (/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/i.test(written)) return written;
  throw new ValueError(
    `is not a selector: ${quote(written)}`,
    "Write the first part of the key's name in DNS.",
  );
}

/** What nodemailer signs with, as most who verify expect it (RFC 8301 §3.2 asks for 1024 bits at least). */
function rsaKey(pem: string): string {
  let bits = 0;
  try {
    const key = nodeCrypto().createPrivateKey(pem);
    if (key.asymmetricKeyType === "rsa") bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  } catch {
    // No key at all.
  }
  if (bits >= 1024) return pem;
  throw new ValueError("does not have an RSA key", "Make one: openssl genrsa -out dkim.pem 2048");
}

/** With its region. */
export const SNS_TOPIC = /^arn:aws(?:-cn|-us-gov)?:sns:([a-z0-9-]{1,40}):\d{12}:[\w-]{1,256}$/;

/** Keys go to no other place, and never in clear but to this machine. */
function apiOrigin(written: string): string {
  const url = URL.parse(written);
  const isPlain = url !== null && url.origin !== "null" && url.href === `${url.origin}/`;
  if (isPlain && (url.protocol === "https:" || (url.protocol === "http:" && isLoopbackHost(url.hostname))))
    return url.origin;
  throw new ValueError(
    `is not the origin of an API: ${quote(withoutUserinfo(written))}`,
    "Write https:// and the host, with nothing behind it.",
  );
}

/** Goes into a header: a line feed would begin another one (RFC 5322 §2.2). */
export function oneLine(written: string): string {
  if (/[\p{Cc}\u2028\u2029]/u.test(written)) {
    throw new ValueError("contains a line break or another control character", "Write it on one line.");
  }
  if (written.trim() === "") throw new ValueError("is empty", "Write something, or remove the line.");
  return written.trim();
}

function smtpHost(written: string): string {
  const host = oneLine(written).toLowerCase();
  if (parseIp(host) !== undefined || /^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$/.test(host)) return host;
  throw new ValueError(
    `is not a host name: ${quote(host)}`,
    "Write a name such as smtp.example.org; the port goes into smtp_port.",
  );
}

function smtpPort(value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535) return value;
  throw new ValueError("is not a port", "Write a number from 1 to 65535, usually 587 or 465.");
}

/** User name or password; empty is none. No error repeats it. */
function credential(secret: string): string | undefined {
  if (/\p{Cc}/u.test(secret)) {
    throw new ValueError(
      "contains a control character",
      "Write a backslash in a text in double quotes as two, or use single quotes.",
    );
  }
  return secret === "" ? undefined : secret;
}
