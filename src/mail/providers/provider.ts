import type { Awaitable } from "../../store/records.ts";
import type { ApiBackend } from "../backend-settings.ts";
import type { Mail } from "../mailer.ts";
import { singleLine } from "../message.ts";
import type { Sender } from "../settings.ts";

/** A mail service that takes mail by HTTP: what it is asked, and what its answers mean. Neither talks to anybody. */
export type Provider = {
  /** As people know it. */
  readonly title: string;
  /**
   * @param now for a signature, milliseconds since the Unix epoch.
   * @throws {MailError} permanent, if the recipient is not one canonical address.
   */
  request(mail: Mail, account: Account, now: number): Awaitable<ProviderRequest>;
  read(answer: Answer): Verdict;
};

export type Account = ApiBackend & Sender;

/** Always a POST. */
export type ProviderRequest = {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | FormData;
};

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  /** At most 64 KiB of it. */
  readonly body: string;
};

/** `refused` is for good and for this recipient or mail; `misconfigured` is for every mail until somebody changes something. */
export type Verdict =
  | { readonly outcome: "sent"; readonly id: string }
  | {
      readonly outcome: "refused" | "later" | "misconfigured";
      /** A clause that follows the service's name. */
      readonly what: string;
      /** The service's own words; empty where there are none. */
      readonly said: string;
      readonly remedy: string;
    };

/** The answer as a JSON object; an empty one for whatever else it is. */
export function objectOf({ body }: Pick<Answer, "body">): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** What proves that the service has the mail: without its id, somebody else has answered. */
export function sentAs(id: unknown): Verdict {
  if (typeof id === "string" && id !== "") return { outcome: "sent", id: singleLine(id).slice(0, 200) };
  return misconfigured(
    "answered what the service never answers",
    "",
    "Check endpoint, and that nothing on the way answers in the place of the service.",
  );
}

export function refused(said: unknown, what = "refused the recipient"): Verdict {
  return verdict("refused", what, said, "Check the address.");
}

export function later(what: string, said: unknown, remedy = "Nothing to do if it passes."): Verdict {
  return verdict("later", what, said, remedy);
}

export function misconfigured(what: string, said: unknown, remedy: string): Verdict {
  return verdict("misconfigured", what, said, remedy);
}

export const CHECK_SENDER = "Set from_address to an address of a domain that is verified at the service.";
const CHECK_KEY =
  "Check api_key_file (or the credential): the key must exist there, and be allowed to send mail.";

export const badKey = (said: unknown) => misconfigured("does not accept the API key", said, CHECK_KEY);

/** What a status says, whichever service it is of (RFC 9110 §15). */
export function byStatus(status: number, said: unknown): Verdict {
  if (status === 401 || status === 403) return badKey(said);
  if (status === 429)
    return later("takes no more mail just now", said, "If it stays, ask the service for a higher limit.");
  if (status === 408 || status >= 500) return later("cannot take the mail just now", said);
  if (status >= 300 && status < 400)
    return misconfigured(
      "leads elsewhere, where no key is sent",
      "",
      "Check endpoint, which is the origin of the API.",
    );
  return misconfigured(
    "did not understand the request",
    said,
    "The answer says why; check endpoint, domain and region.",
  );
}

function verdict(
  outcome: "refused" | "later" | "misconfigured",
  what: string,
  said: unknown,
  remedy: string,
): Verdict {
  return { outcome, what, said: typeof said === "string" ? said : "", remedy };
}

/** `Name <address>`, for services that take a header as text. */
export function mailboxOf({ name, address }: Sender["from"]): string {
  // No quotes or backslashes are in a name (`settings.ts`).
  return name === undefined ? address : `"${singleLine(name)}" <${address}>`;
}

/** As `compose.ts` sends them. */
export const QUIET = { "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All" } as const;
