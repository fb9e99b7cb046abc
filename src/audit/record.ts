import type { Kind, Records } from "../store/records.ts";
import type { AuditEntry } from "./entry.ts";

/** An event as the store keeps it, under the event's id. */
export type AuditRecord = {
  /** When, in milliseconds since the epoch. */
  readonly at: number;
  /** The address it was done to, and the one that did it. */
  readonly subject?: string;
  readonly actor?: string;
  readonly entry: AuditEntry;
};

export type AuditRecords = Records<AuditRecord>;

export const AUDIT: Kind<AuditRecord> = { name: "audit", by: ["subject", "actor"], order: "at" };

export function recordOf(entry: AuditEntry, at: number): AuditRecord {
  const subject = entry.subject !== null && "email" in entry.subject ? entry.subject.email : undefined;
  const actor = entry.actor.email;
  return {
    at,
    ...(isName(subject) ? { subject } : {}),
    // Looked up by the one, it need not be by the other.
    ...(isName(actor) && actor !== subject ? { actor } : {}),
    entry,
  };
}

/** What a store can look records up by. */
function isName(text: string | undefined): text is string {
  return text !== undefined && !text.includes("\n");
}
