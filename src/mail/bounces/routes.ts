import { type Failure, failure, noContent, Refusal } from "../../edge/answer.ts";
import type { Arrival } from "../../edge/arrival.ts";
import { readBody } from "../../edge/body.ts";
import { ownRoutes } from "../../edge/own.ts";
import type { House, Room } from "../../house.ts";
import { atMostEvery } from "../../observe/at-most-every.ts";
import { messageOf } from "../../observe/message-of.ts";
import { StoreUnavailable } from "../../store/records.ts";
import { MAIL_BOUNCED, NOTICE_REFUSED } from "../audit.ts";
import type { ApiName } from "../backend-settings.ts";
import { readBounded } from "../http.ts";
import { printable } from "../printable.ts";
import type { Notice, ReadNotice } from "./notice.ts";

/** `/hooks/bounce/<backend>`: where mail services tell of mail that came back. */

const READERS: Readonly<Record<ApiName, () => Promise<ReadNotice>>> = {
  ses: async () => (await import("./ses.ts")).ses,
  sendgrid: async () => (await import("./sendgrid.ts")).sendgrid,
  mailgun: async () => (await import("./mailgun.ts")).mailgun,
  postmark: async () => (await import("./postmark.ts")).postmark,
  resend: async () => (await import("./resend.ts")).resend,
};

/** Services collect what they tell, and one may be shared with those who send much. */
const MAX_NOTICE = 1024 * 1024;
/** Read at a time, from whoever sends any. */
const PARALLEL = 16;
/** Between two certificates that are asked for, since anybody may name one. */
const CERTIFICATE_EVERY = 10_000;
const LOGGED_EVERY = 60_000;
const MOST_CERTIFICATES = 4;
const GET_TIMEOUT = 5_000;

type BounceHouse = Pick<House, "email" | "clock" | "audit" | "undeliverable" | "loggers">;

/** @param get for tests: what asks another server. */
export function bounceRoom(house: BounceHouse, get = getText): Room {
  const { email, clock, audit, undeliverable } = house;
  const log = house.loggers("mail");
  /** By address; what is asked of SNS once for good. */
  const certificates = new Map<string, string>();
  const mayAsk = atMostEvery(CERTIFICATE_EVERY);
  const mayLog = atMostEvery(LOGGED_EVERY);
  let reading = 0;

  const tools = {
    async get(url: string): Promise<string> {
      const known = certificates.get(url);
      if (known !== undefined) return known;
      const isCertificate = url.endsWith(".pem");
      if (isCertificate && !mayAsk(clock.monotonic()))
        throw new Error("another certificate was asked for just now");
      const text = await get(url);
      if (isCertificate && certificates.size < MOST_CERTIFICATES) certificates.set(url, text);
      return text;
    },
  };

  async function take(arrival: Arrival, kind: ApiName, keys: readonly string[]): Promise<Response> {
    const { headers, request, client } = arrival;
    if (reading >= PARALLEL) return failure(arrival, LATER);
    reading++;
    try {
      const body = await readBody(request, MAX_NOTICE);
      const read = await READERS[kind]();
      let notice: Notice | undefined;
      for (const key of keys) notice ??= await read({ headers, body }, key, tools);
      if (notice === undefined) {
        audit(NOTICE_REFUSED, { client: client.ip, by: kind, reason: "not_signed" });
        return failure(arrival, NOT_SIGNED);
      }
      for (const { address, reason } of await undeliverable.take(kind, notice)) {
        const words = printable(reason, { user: undefined, pass: undefined });
        audit(MAIL_BOUNCED, { subject: address, by: kind, reason: words });
      }
      return noContent();
    } finally {
      reading--;
    }
  }

  /** A service tries again what it hears no good of. */
  async function answer(arrival: Arrival, kind: ApiName, keys: readonly string[]): Promise<Response> {
    try {
      return await take(arrival, kind, keys);
    } catch (error) {
      if (error instanceof Refusal || error instanceof StoreUnavailable) throw error;
      if (mayLog(clock.monotonic()))
        log.warn("a notice of a mail service could not be read", { backend: kind, reason: messageOf(error) });
      return failure(arrival, LATER);
    }
  }

  /** Of two accounts at one service, either may be who tells. */
  const keysOf = new Map<ApiName, string[]>();
  for (const one of email?.backends ?? []) {
    if ("bounceKey" in one && one.bounceKey !== undefined)
      keysOf.set(one.kind, [...(keysOf.get(one.kind) ?? []), one.bounceKey]);
  }
  return ownRoutes(
    "bounces",
    [...keysOf].map(([kind, keys]) => ({
      path: `/hooks/bounce/${kind}`,
      handlers: { POST: (arrival: Arrival) => answer(arrival, kind, keys) },
    })),
  );
}

async function getText(url: string): Promise<string> {
  const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(GET_TIMEOUT) });
  const text = await readBounded(response);
  if (response.status !== 200) throw new Error(`${new URL(url).host} answered with ${response.status}`);
  return text;
}

const NOT_SIGNED: Failure = {
  status: 403,
  error: "not_signed",
  title: "Not for you",
  message: "This is not signed as the mail service signs.",
};

const LATER: Failure = {
  status: 503,
  error: "busy",
  title: "Busy",
  message: "Try again in a moment.",
  headers: [["Retry-After", "10"]],
};
