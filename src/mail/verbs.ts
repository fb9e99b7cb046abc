import { systemPause } from "../clock.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { MINUTE, SECOND } from "../option/values.ts";
import { aboutMail, MAIL_GIVEN_UP, MAIL_RETRIED, MAIL_SENT, MAIL_TESTED } from "./audit.ts";
import { MailError } from "./mailer.ts";
import { testMail } from "./test-mail.ts";
import type { OutboxEntry, Retried } from "./waiting.ts";

/** What operators and administrators do with mail, on the page, by the API and on the command line. */
export type MailVerbs = {
  /** What waits to be sent, oldest first. @throws {StoreUnavailable} */
  waiting(): Promise<OutboxEntry[]>;
  /**
   * Has one tried now, unless it is being sent at this moment: so nobody gets it twice.
   * @param id or its beginning, as of `drop`. @throws {StoreUnavailable} and nothing is done, nor unless that can be recorded.
   */
  retry(id: string, actor: string): Promise<Retried | "several">;
  /** Gives one up; an attempt that is under way may still succeed. @throws {StoreUnavailable} as `retry`. */
  drop(id: string, actor: string): Promise<"dropped" | "gone" | "several">;
  /**
   * Sends a test mail at once, past the outbox, and waits for what the server says: for half a minute at most.
   * @returns undefined if there were too many of late. @throws {StoreUnavailable} as `retry`.
   */
  test(to: Address, actor: string): Promise<Tested | undefined>;
};

/** What became of a test mail: who took it and what they said, or why nobody did and what to do. */
export type Tested =
  | { readonly sent: true; readonly by: string; readonly answer: string }
  | { readonly sent: false; readonly reason: string; readonly remedy: string };

/** So many test mails a minute, from all together: a session of an administrator is not to flood a mailbox. */
const TESTS = { limit: 5, windowMs: MINUTE };
const PATIENCE = 30 * SECOND;

export type MailVerbsHouse = Pick<
  House,
  "outbox" | "mailer" | "email" | "options" | "stores" | "audit" | "auditFirst" | "clock" | "random"
>;

export function createMailVerbs(house: MailVerbsHouse): MailVerbs {
  const { outbox, mailer, email, options, stores, audit, auditFirst } = house;

  async function named(beginning: string): Promise<OutboxEntry | "gone" | "several"> {
    const [one, ...others] = (await outbox.waiting()).filter(({ id }) => id.startsWith(beginning));
    return others.length > 0 ? "several" : (one ?? "gone");
  }

  return {
    waiting: () => outbox.waiting(),

    async retry(id, actor) {
      const entry = await named(id);
      if (typeof entry === "string") return entry;
      await auditFirst(MAIL_RETRIED, { ...aboutMail(entry), actor });
      return outbox.retry(entry.id);
    },

    async drop(id, actor) {
      const entry = await named(id);
      if (typeof entry === "string") return entry;
      await auditFirst(MAIL_GIVEN_UP, { ...aboutMail(entry), reason: "deleted", actor });
      return (await outbox.drop(entry.id)) ? "dropped" : "gone";
    },

    async test(to, actor) {
      if (!(await stores.limits.hit("test-mail", TESTS)).allowed) return undefined;
      const mail = testMail({ to, sender: email?.from.address, baseUrl: options.baseUrl }, house);
      const about = aboutMail({ to, id: mail.messageId.slice(1) });
      await auditFirst(MAIL_TESTED, { ...about, actor });
      try {
        const receipt = await Promise.race([mailer.send(mail), systemPause(PATIENCE)]);
        if (receipt === undefined) return { sent: false, ...UNANSWERED };
        audit(MAIL_SENT, { ...about, by: receipt.by, reason: receipt.words });
        return { sent: true, by: receipt.by, answer: receipt.words };
      } catch (error) {
        if (!(error instanceof MailError)) throw error;
        const { reason, remedy } = error;
        audit(MAIL_GIVEN_UP, { ...about, reason, actor });
        return { sent: false, reason, remedy };
      }
    },
  };
}

const UNANSWERED = {
  reason: "The mail server has not answered within 30 seconds; it may still take the mail.",
  remedy: "runegate send-email says at which step it waits.",
};
