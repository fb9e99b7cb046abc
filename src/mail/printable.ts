import { maskTokens } from "../observe/mask.ts";
import { singleLine } from "./message.ts";
import type { SmtpConfig } from "./settings.ts";

type Secrets = Pick<SmtpConfig, "user" | "pass">;

/**
 * A server's words, fit for a log: one line, of bounded length, with nothing in them that a server may have picked up
 * from the conversation: credentials, the query of a link, a token, a code.
 */
export function printable(reply: string, config: Secrets): string {
  let text = singleLine(reply);
  for (const secret of credentialForms(config)) text = text.replaceAll(secret, "***");
  return maskTokens(text)
    .replace(/(https?:\/\/[^\s?#]*)[?#]\S*/g, "$1?***")
    .replace(/\b[0-9A-Z]{4}-[0-9A-Z]{4}\b/g, "***")
    .slice(0, 300);
}

/** The password as it stands and as AUTH PLAIN, AUTH LOGIN (RFC 4616, RFC 4954) and Basic (RFC 7617) send it. */
function credentialForms({ user, pass }: Secrets): string[] {
  // Masking something very short would rather point at it.
  if (pass === undefined || pass.length < 4) return [];
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return [pass, base64(pass), base64(`\0${user ?? ""}\0${pass}`), base64(`${user ?? ""}:${pass}`)];
}
