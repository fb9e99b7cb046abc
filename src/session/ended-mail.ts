import type { Clock } from "../clock.ts";
import { renderNotice } from "../mail/notice.ts";
import type { NewMail } from "../mail/outbox.ts";
import { networkOfClient } from "../net/ip.ts";
import { said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import type { From } from "./binding.ts";
import { describeDevice, recognizeDevice } from "./device.ts";
import type { SessionRecord } from "./record.ts";

const DAY_MS = 24 * 60 * 60_000;

/** To the owner of a session that was shown from elsewhere until it was ended. @param from the last who did so */
export function endedMail(
  look: Look,
  { email }: Pick<SessionRecord, "email">,
  { client, headers }: From,
  clock: Clock,
): NewMail {
  const now = clock.now();
  const content = renderNotice(look, {
    subject: said("ended.subject", { app: look.app }),
    heading: said("ended.heading"),
    opening: said("ended.opening", { email }),
    at: now,
    where: `${networkOfClient(client.ip)}, ${describeDevice(look.language, recognizeDevice(headers["user-agent"] ?? null))}`,
    closing: said("ended.closing"),
  });
  const terms = { expiresAt: now + DAY_MS, cooldownKey: undefined, first: true };
  return { to: email, kind: "session-ended", content, ...terms };
}
