import type { Clock } from "../clock.ts";
import { messageOf } from "../observe/message-of.ts";
import type { ApiName } from "./backend-settings.ts";
import { type BackendMailer, type MailError, misconfigured, permanent, temporary } from "./mailer.ts";
import { printable } from "./printable.ts";
import type { Account, Answer, Provider, ProviderRequest } from "./providers/provider.ts";

/** Each is loaded with the first mail that it is to take. */
const PROVIDERS: Readonly<Record<ApiName, () => Promise<Provider>>> = {
  ses: async () => (await import("./providers/ses.ts")).ses,
  sendgrid: async () => (await import("./providers/sendgrid.ts")).sendgrid,
  mailgun: async () => (await import("./providers/mailgun.ts")).mailgun,
  postmark: async () => (await import("./providers/postmark.ts")).postmark,
  resend: async () => (await import("./providers/resend.ts")).resend,
};

/** Milliseconds from the beginning of a request to the end of its answer. */
const TIMEOUT = 20_000;
const MAX_ANSWER = 64 * 1024;

/** A mailer that hands each mail to a service by HTTP. */
export function createHttpMailer(account: Account, clock: Clock, timeout = TIMEOUT): BackendMailer {
  const host = new URL(account.endpoint).host;
  return {
    name: account.kind,
    address: host,
    async send(mail, onStep) {
      const provider = await PROVIDERS[account.kind]();
      const answer = await ask(await provider.request(mail, account, clock.now()), host, timeout);
      onStep?.(`${host} answered with ${answer.status}.`);
      const verdict = provider.read(answer);
      const secret = { user: "api", pass: account.apiKey };
      if (verdict.outcome === "sent") {
        const words = printable(`${answer.status}, id ${verdict.id}`, secret);
        onStep?.(`${provider.title} accepted the mail: ${words}`);
        return { by: account.kind, words };
      }
      const said = printable(verdict.said, secret);
      const reason = `${provider.title} ${verdict.what}: ${answer.status}${said === "" ? "" : ` ${said}`}`;
      throw FAILURES[verdict.outcome](reason, verdict.remedy);
    },
    async verify(onStep) {
      const { status } = await ask({ url: account.endpoint, headers: {}, body: "" }, host, timeout, "HEAD");
      onStep(`${host} answers, with ${status}.`);
      onStep("Whether it takes the key and the sender shows with a mail: runegate send-email.");
    },
  };
}

const FAILURES = { refused: permanent, later: temporary, misconfigured } as const;

/** @throws {MailError} if there is no answer, or no end of it. */
async function ask(
  { url, headers, body }: ProviderRequest,
  host: string,
  timeout: number,
  method: "POST" | "HEAD" = "POST",
): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method,
      headers: { ...headers, "User-Agent": "Runegate" },
      ...(method === "POST" ? { body } : {}),
      // Mails are too few for a kept connection to pay, and one that the service has closed would cost an attempt.
      keepalive: false,
      // The key goes nowhere else.
      redirect: "manual",
      signal: AbortSignal.timeout(timeout),
    });
    return { status: response.status, headers: response.headers, body: await readBounded(response) };
  } catch (error) {
    throw diagnose(error, host, timeout);
  }
}

/** The beginning of an answer, at most 64 KiB. */
export async function readBounded({ body }: Response): Promise<string> {
  if (body === null) return "";
  const chunks: Uint8Array[] = [];
  let size = 0;
  // What is left of it when this ends is cancelled with it.
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > MAX_ANSWER) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_ANSWER).toString();
}

function diagnose(error: unknown, host: string, timeout: number): MailError {
  const name = error instanceof Error ? error.name : "";
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (name === "TimeoutError")
    return temporary(
      `${host} did not answer within ${timeout / 1000} s.`,
      "Try again; if it stays, check this machine's network and firewall.",
    );
  if (/CERT|SELF_SIGNED|UNABLE_TO|SSL|TLS/.test(code))
    return misconfigured(
      `The TLS certificate of ${host} is not good (${code}).`,
      "Check endpoint, this machine's clock, and whether something on the way opens its connections.",
    );
  return temporary(
    `${host} cannot be reached: ${code || messageOf(error)}`,
    "Check endpoint for a misspelling, and this machine's network and names.",
  );
}
