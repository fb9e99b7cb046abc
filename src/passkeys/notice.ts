import type { Arrival } from "../edge/arrival.ts";
import type { House } from "../house.ts";
import type { MailContent } from "../mail/mailer.ts";
import { renderNotice } from "../mail/notice.ts";
import { networkOfClient } from "../net/ip.ts";
import { messageOf } from "../observe/message-of.ts";
import { said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { ACCOUNT_PATH } from "../pages/paths.ts";
import { describeDevice, recognizeDevice } from "../session/device.ts";

const DAY_MS = 24 * 60 * 60_000;
/** Mails a day to one address: whoever adds and removes all day long has its owner hear of it no more often. */
const MAILS = { limit: 10, windowMs: DAY_MS };

/**
 * Tells the owner of an address of a passkey that was added. A page of an application could do that with the session of its
 * visitor: they run on one host.
 */
export function createPasskeyNotice(
  house: Pick<House, "options" | "stores" | "outbox" | "clock" | "loggers">,
) {
  const { options, stores, outbox, clock } = house;
  const log = house.loggers("login");

  async function tell(arrival: Arrival, email: string): Promise<void> {
    if (!(await stores.limits.hit(`passkey-mail:${email}`, MAILS)).allowed) return;
    const look = arrival.lookOf(arrival);
    const now = clock.now();
    const device = describeDevice(look.language, recognizeDevice(arrival.headers["user-agent"] ?? null));
    const where = `${networkOfClient(arrival.client.ip)}, ${device}`;
    const content = newPasskeyNotice(look, { email, at: now, where, baseUrl: options.baseUrl });
    const terms = { expiresAt: now + DAY_MS, cooldownKey: undefined, first: true };
    await outbox.queue({ to: email, kind: "new-passkey", content, ...terms });
  }

  /** Never rejects: the passkey stands. */
  return (arrival: Arrival, email: string): Promise<void> =>
    tell(arrival, email).catch((error: unknown) =>
      log.warn("could not tell of a new passkey", { reason: messageOf(error), id: arrival.id }),
    );
}

export function newPasskeyNotice(
  look: Look,
  { email, at, where, baseUrl }: { email: string; at: number; where: string; baseUrl: string },
): MailContent {
  return renderNotice(look, {
    subject: said("newPasskey.subject", { app: look.app }),
    heading: said("newPasskey.heading"),
    opening: said("newPasskey.opening", { email }),
    ...{ at, where },
    closing: said("newPasskey.closing"),
    link: { url: baseUrl + ACCOUNT_PATH, label: said("newPasskey.button") },
  });
}
