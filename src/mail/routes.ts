import { type ExtraHeaders, failure, NOT_FOUND, page } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ownRoutes } from "../edge/own.ts";
import { policyWith } from "../edge/page-policy.ts";
import type { House, Room } from "../house.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { mailboxPage } from "../pages/pages.ts";
import { type MailApiHouse, mailApi } from "./api.ts";
import { mailScreen } from "./screen.ts";

/** Whether the development mailbox is shown to whoever asks: this machine alone, since its mails sign in anybody. */
export function mayReadMailbox({ client: { ip, ipIsCertain, host } }: Arrival): boolean {
  // The name too: a page of a name that has been made to point here would otherwise be of the same origin.
  return ipIsCertain && isLoopbackHost(ip) && isLoopbackHost(new URL(`http://${host}`).hostname);
}

/** Seconds until the page is loaded again while somebody waits for a mail, and while one is there to be read and copied. */
const REFRESH = { waiting: "2", reading: "10" } as const;
const READING_MS = 5 * 60_000;

/** A mail's HTML has inline styles, and the frame it is shown in has its page's policy. Everything else stays forbidden. */
const MAILBOX_POLICY = policyWith([{ "style-src": ["'unsafe-inline'"] }]);

/** What waits, for the operator. */
export function mailRoom(house: MailApiHouse & Pick<House, "auditFirst">): Room {
  return { name: "mail", api: () => mailApi(house), admin: mailScreen(house) };
}

/** The development mailbox. Never wired in production. */
export function mailboxRoom({ mailbox, clock }: Pick<House, "mailbox" | "clock">): Room {
  if (mailbox === undefined) return { name: "mailbox" };
  const readMails = mailbox.mails;

  async function show(arrival: Arrival): Promise<Response> {
    if (!mayReadMailbox(arrival)) return failure(arrival, NOT_FOUND);
    const mails = await readMails();
    const still = new URLSearchParams(arrival.target.search).has("still");
    const fresh = mails.some(({ at }) => clock.now() - at < READING_MS);
    const headers: ExtraHeaders = still ? [] : [["Refresh", fresh ? REFRESH.reading : REFRESH.waiting]];
    return page(mailboxPage(arrival.lookOf(arrival), { mails, still }), 200, headers, MAILBOX_POLICY);
  }

  return ownRoutes("mailbox", [{ path: "/mailbox", handlers: { GET: show } }]);
}
