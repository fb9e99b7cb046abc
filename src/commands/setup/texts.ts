import { removeLine, renameLine, setLine, writtenAs } from "../../config/env-edit.ts";
import { OPTION_LIST, OPTIONS } from "../../config/options.ts";
import { withoutUserinfo } from "../../option/value-error.ts";
import { UsageError } from "../command.ts";

/** The two files, as texts: what there was with what was answered. */

export type EmailKeys = {
  readonly host: string;
  readonly port: number;
  /** Empty for a server that wants no login, and so is `pass`. */
  readonly user: string;
  readonly pass: string;
  readonly from: string;
  readonly tls: string | undefined;
};

/** Fills the answers into the example, whose comments stay. */
export function fillEmail(example: string, { host, port, user, pass, from, tls }: EmailKeys): string {
  const values = {
    smtp_host: host,
    smtp_port: port,
    smtp_user: user,
    smtp_pass: pass,
    from_address: from,
    ...(tls === undefined ? {} : { smtp_tls: tls }),
  };
  // What JSON escapes, and how, TOML does too.
  return Object.entries(values).reduce(
    (text, [name, value]) =>
      text.replace(new RegExp(`^(?:# )?${name} = .*\\n`, "m"), () =>
        value === "" ? "" : `${name} = ${JSON.stringify(value)}\n`,
      ),
    example,
  );
}

/** @throws {UsageError} for a value that no line can hold. */
export function fillEnv(text: string, values: Readonly<Record<string, string>>): string {
  return Object.entries(values).reduce((filled, [name, value]) => {
    const written = /\p{Cc}/u.test(value) ? undefined : writtenAs(value);
    if (written === undefined) throw new UsageError(`the value for ${name} cannot stand in an env file.`);
    return setLine(filled, name, written);
  }, text);
}

/** Where nothing is in front: not at the address that a proxy would come to, and nobody's headers are believed. */
export function withoutProxy(text: string, tls: string): string {
  const { listen, trustedProxies } = OPTIONS;
  const said = "# TLS on port 443, with certificates that are ordered, and port 80 leads there.";
  return setLine(
    renameLine(removeLine(text, trustedProxies.name), listen.name, OPTIONS.tls.name).replace(
      "# Where nginx or Caddy finds Runegate.",
      said,
    ),
    OPTIONS.tls.name,
    tls,
  );
}

/**
 * The assignments that one text has and the other has not. Only what is known to be no secret is shown with its value: a file that
 * somebody wrote by hand may spell a password in any way that its syntax has.
 */
export function differences(before: string, after: string) {
  const linesOf = (text: string) =>
    text
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => /^(?:\w+\s*=|\[+\w+\]+$)/.test(line));
  const [old, now] = [linesOf(before), linesOf(after)];
  return {
    added: now.filter((line) => !old.includes(line)).map(shown),
    removed: old.filter((line) => !now.includes(line)).map(shown),
  };
}

/** Of email.toml, beside the options that are no secret. */
const OPEN: ReadonlySet<string> = new Set([
  "smtp_host",
  "smtp_port",
  "smtp_user",
  "smtp_tls",
  "from_address",
]);

function shown(line: string): string {
  const [, name = "", is = "", value = line] = /^(\w+)(\s*=\s*)(.*)$/.exec(line) ?? [];
  const [, option] = OPTION_LIST.find(([, one]) => one.name === name) ?? [];
  const isOpen = name === "" || OPEN.has(name) || (option !== undefined && !option.secret);
  return name + is + (isOpen ? (option?.shown ?? withoutUserinfo)(value) : "********");
}
