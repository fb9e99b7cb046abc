import { page } from "../edge/answer.ts";
import { type OwnRoutes, ownRoutes } from "../edge/own.ts";
import { mailboxPage } from "../pages/pages.ts";
import type { Mailbox } from "./mailbox.ts";

/** The development mailbox. Never wired in production: whoever reads it can sign in as anybody. */
export function mailboxRoutes(mailbox: Mailbox): OwnRoutes {
  return ownRoutes("mailbox", false, [
    { path: "/mailbox", handlers: { GET: () => page(mailboxPage({ mails: mailbox.mails() })) } },
  ]);
}
