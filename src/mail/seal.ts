import type { Random } from "../clock.ts";
import type { Keys } from "../secret/keys.ts";
import { NONCE_BYTES, seal, unseal } from "../secret/sealed.ts";
import type { Awaitable } from "../store/records.ts";
import type { MailContent } from "./mailer.ts";
import type { OutboxEntry } from "./waiting.ts";

/**
 * What a mail says, as the store keeps it: encrypted, so that whoever reads the store, its files or a copy of them finds no link
 * and no code; and bound to the entry it is of, so that whoever writes to the store cannot have it sent to somebody else.
 */
export type Seal = {
  seal(entry: Bound, content: MailContent): string;
  /** Undefined if it was not sealed for this entry, or under neither of the keys. @throws {StoreUnavailable} */
  open(entry: Bound & Pick<OutboxEntry, "content">): Awaitable<MailContent | undefined>;
};

type Bound = Pick<OutboxEntry, "id" | "to" | "messageId" | "queuedAt" | "expiresAt">;

/**
 * @param adopts whether mails that an older Runegate queued in clear are still taken over (`session/adoption.ts`): afterwards, one
 * can only be from somebody who writes to the store, and would have us send whatever they like.
 */
export function createSeal(keys: Keys, random: Random, adopts: () => Awaitable<boolean>): Seal {
  // From the secret that links are signed with: where that is lost, the links are worth nothing either.
  const key = keys.for("queued mail", "jwt");

  function opened(sealed: Buffer, under: Uint8Array, bound: string): MailContent | undefined {
    const plain = unseal(under, sealed, bound);
    return plain && contentOf(plain.toString());
  }

  return {
    seal(entry, content) {
      const plain = Buffer.from(JSON.stringify(content));
      return seal(key.current, random.bytes(NONCE_BYTES), plain, boundOf(entry)).toString("base64url");
    },

    async open(entry) {
      // In clear, which a sealed one never looks like.
      if (entry.content.startsWith("{")) return (await adopts()) ? contentOf(entry.content) : undefined;
      const sealed = Buffer.from(entry.content, "base64url");
      const bound = boundOf(entry);
      return opened(sealed, key.current, bound) ?? (key.previous && opened(sealed, key.previous, bound));
    },
  };
}

/** What may not be changed without breaking the seal. */
function boundOf({ id, to, messageId, queuedAt, expiresAt }: Bound): string {
  return JSON.stringify([id, to, messageId, queuedAt, expiresAt]);
}

/** Undefined for what is no mail: in clear it may be anything that somebody has written to the store. */
function contentOf(json: string): MailContent | undefined {
  try {
    const { subject, text, html } = JSON.parse(json) as Readonly<Record<string, unknown>>;
    if (typeof subject !== "string" || typeof text !== "string") return undefined;
    return { subject, text, html: typeof html === "string" ? html : undefined };
  } catch {
    return undefined;
  }
}
