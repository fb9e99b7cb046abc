import { createHash } from "node:crypto";
import type { Pause } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Challenges } from "./acme.ts";
import type { DnsHook } from "./dns-hook.ts";

/**
 * Proves a name by a TXT record (RFC 8555 §8.4), which is the only way for a wildcard.
 * @param waitMs from when the hook has ended until the authority may look.
 */
export function dnsChallenges(
  name: string,
  hook: DnsHook,
  { waitMs, pause, log }: { readonly waitMs: number; readonly pause: Pause; readonly log: Logger },
): Challenges {
  const record = `_acme-challenge.${name.replace(/^\*\./, "")}`;
  const digestOf = (answer: string) => createHash("sha256").update(answer).digest("base64url");
  return {
    type: "dns-01",
    async put(_, answer) {
      await hook("present", record, digestOf(answer));
      if (waitMs > 0) await pause(waitMs);
    },
    async remove(_, answer) {
      // A record that stays proves nothing any more, and is no reason to do without the certificate.
      await hook("cleanup", record, digestOf(answer)).catch((error: unknown) =>
        log.warn("a record of a proof stays in DNS", { name: record, reason: messageOf(error) }),
      );
    },
  };
}
