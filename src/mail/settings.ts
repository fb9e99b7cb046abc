import { type Address, parseAddress } from "../identity/address.ts";
import { explained } from "../identity/values.ts";
import { parseIp } from "../net/ip.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { type TableOf, table, text } from "../option/table.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { choice } from "../option/values.ts";

/** What a template may contain. Anything else in braces, such as the rules of a style sheet, stays as it is. */
export const PLACEHOLDERS = [
  "login_url",
  "code",
  "expiry_minutes",
  "email",
  "requested_from",
  "app",
  "host",
] as const;

const TLS_MODES = ["starttls", "implicit", "none"] as const;
export type TlsMode = (typeof TLS_MODES)[number];

const KEYS = {
  host: {
    name: "smtp_host",
    parse: text(smtpHost),
    example: "smtp.example.org",
    help: "Name of the mail server.",
  },
  port: { name: "smtp_port", parse: smtpPort, example: 587, help: "Its port, usually 587 or 465." },
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
  /** As given: `address` or `Name <address>`. */
  from: {
    name: "from_address",
    parse: text(mailbox),
    example: "Example <login@example.org>",
    help: "Whom the mail is from: an address that the account may send from.",
  },
  replyTo: {
    name: "reply_to",
    parse: text((written) => plainAddress(oneLine(written))),
    example: "help@example.org",
    help: "Where answers go.",
    optional: true,
  },
  subject: {
    name: "subject",
    parse: text((written) => knownPlaceholders(oneLine(written))),
    example: "Your sign-in link",
    help: "Subject of the mail, with `{code}`, `{app}` and `{host}`. By default with the code in it.",
    optional: true,
  },
  bodyTemplate: {
    name: "body_template",
    parse: text(template),
    example: "Open {login_url} or type {code}.",
    help: "The text, with `{login_url}` and best with `{code}`; also `{email}`, `{expiry_minutes}`, `{requested_from}`, `{app}`, `{host}`.",
  },
  htmlTemplate: {
    name: "html_template",
    parse: text(template),
    example: "<p>Open {login_url} or type {code}.</p>",
    help: "The HTML part, with the same placeholders. Without it, there is a plain one.",
    optional: true,
  },
  tls: {
    name: "smtp_tls",
    parse: text((written) => choice(...TLS_MODES)(oneLine(written))),
    example: "starttls",
    help: "`starttls`, `implicit` (where left out, on port 465), or `none` (on this machine only).",
    optional: true,
  },
} as const;

/** What has to be filled in, in a file that began as the example. */
const FILL_IN = {
  host: "Write the name of your mail server, such as smtp.gmail.com.",
  user: "Write your user name there, or remove smtp_user and smtp_pass.",
  pass: "Write the password, or what your mail service gives out as one.",
  from: "Write an address that the account may send from.",
} as const;

/** `email.toml`: how mail is sent and what it says. */
export const EMAIL_TABLE = table(KEYS, (values, report) => {
  const { user, pass, host, from } = values;
  // A key that is there and wrong has been reported already.
  if (user !== undefined && "pass" in values && pass === undefined)
    report("error", "pass", "is missing while smtp_user is set", "Set both, or neither.");
  if (pass !== undefined && "user" in values && user === undefined)
    report("error", "user", "is missing while smtp_pass is set", "Set both, or neither.");
  const given = { host, user, pass, from: from?.address };
  const examples = {
    ...{ host: KEYS.host.example, user: KEYS.user.example, pass: KEYS.pass.example },
    from: KEYS.from.parse(KEYS.from.example).address,
  };
  for (const key of ["host", "user", "pass", "from"] as const) {
    if (given[key] === examples[key]) report("error", key, "is still the example's", FILL_IN[key]);
  }
  if (values.tls === "none" && host !== undefined && !isLoopbackHost(host)) {
    report(
      "error",
      "tls",
      `is none, and ${host} is another machine, so links could be read on the way`,
      "Write starttls or implicit.",
    );
  }
  for (const key of ["bodyTemplate", "htmlTemplate"] as const) {
    if (values[key]?.includes("{code}") !== false) continue;
    const problem = "does not contain {code}, so mail read on another device is of no use";
    report("warning", key, problem, "Add {code}.");
  }
});

/** `email.toml`, checked. */
export type EmailConfig = Omit<TableOf<typeof KEYS>, "tls"> & {
  readonly path: string;
  readonly tls: TlsMode;
};

/** Goes into a header: a line feed would begin another one (RFC 5322 §2.2). */
function oneLine(written: string): string {
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

/** `address` or `Name <address>`. */
function mailbox(written: string): { readonly name: string | undefined; readonly address: Address } {
  const line = oneLine(written);
  const match = /^(.*?)\s*<([^<>]*)>$/.exec(line);
  if (match === null) return { name: undefined, address: plainAddress(line) };
  const [, before = "", address = ""] = match;
  const name = before.replace(/^"(.*)"$/, "$1").trim();
  if (/[<>"\\]/.test(name)) {
    throw new ValueError(`has a name with quotes or angle brackets: ${quote(line)}`, "Write Name <address>.");
  }
  return { name: name === "" ? undefined : name, address: plainAddress(address) };
}

function plainAddress(line: string): Address {
  return explained(parseAddress, line, `is not an address: ${quote(line)}`, "");
}

function template(written: string): string {
  if (/\p{Cc}/u.test(written.replace(/[\t\r\n]/g, ""))) {
    throw new ValueError("contains a control character", "Write plain text.");
  }
  if (!written.includes("{login_url}")) {
    throw new ValueError(
      "does not contain {login_url}, so nobody could sign in",
      "Add {login_url} where the link goes.",
    );
  }
  return knownPlaceholders(written);
}

/** Only what looks like a name counts: the braces of a style sheet are none of our business. */
function knownPlaceholders(written: string): string {
  const unknown = [...written.matchAll(/\{(\w+)\}/g)]
    .map((match) => match[1] ?? "")
    .filter((name) => !PLACEHOLDERS.some((known) => known === name));
  if (unknown.length === 0) return written;
  throw new ValueError(
    `contains ${[...new Set(unknown)].map((name) => `{${name}}`).join(", ")}, which stands for nothing`,
    `The placeholders are ${PLACEHOLDERS.map((name) => `{${name}}`).join(", ")}.`,
  );
}
