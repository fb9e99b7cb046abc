import { isLoopbackHost } from "../config/loopback.ts";
import { failure, NOT_FOUND, page } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { type OwnRoutes, ownRoutes } from "../edge/own.ts";
import { mailboxPage } from "../pages/pages.ts";
import type { Mailbox } from "./mailbox.ts";

/**
 * The development mailbox. Never wired in production, and shown to this machine alone: whoever reads it can sign in as
 * anybody.
 */
export function mailboxRoutes(mailbox: Pick<Mailbox, "mails">): OwnRoutes {
  async function show(arrival: Arrival): Promise<Response> {
    const { ip, host } = arrival.client;
    // The name too: a page of a name that has been made to point here would otherwise be of the same origin.
    const hostname = new URL(`http://${host}`).hostname;
    if (!isLoopbackHost(ip) || !isLoopbackHost(hostname)) return failure(arrival, NOT_FOUND);
    return page(mailboxPage({ mails: await mailbox.mails() }));
  }

  return ownRoutes("mailbox", [{ path: "/mailbox", handlers: { GET: show } }]);
}
