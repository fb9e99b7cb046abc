import type { OutboxEntry, OutboxStore } from "../contracts.ts";
import type { SqliteHandle } from "./handle.ts";

/** As the row has it: without a value is null. */
type Row = Omit<OutboxEntry, "cooldownKey" | "first"> & {
  readonly cooldownKey: string | null;
};

type New = [
  id: string,
  to: string,
  content: string,
  messageId: string,
  queuedAt: number,
  expiresAt: number,
  attempts: number,
  nextAttemptAt: number,
  cooldownKey: string | null,
  first: number,
  capacity: number,
];

/**
 * Mails waiting to be sent. Being queued survives a power cut; what follows need not: a claim or a removal that is lost leads
 * to one more delivery of the same mail.
 */
export function createSqliteOutbox(handle: SqliteHandle): OutboxStore {
  const { relaxed } = handle;
  const insert = relaxed.prepare<never, New>(`
    INSERT INTO outbox (id, recipient, content, message_id, queued_at, expires_at, attempts, next_attempt_at,
      cooldown_key, first)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE (SELECT count(*) FROM outbox) < ?11
    ON CONFLICT DO NOTHING`);
  const exists = relaxed.prepare<{ found: number }, [string]>("SELECT 1 AS found FROM outbox WHERE id = ?");
  const selectDue = relaxed.prepare<Row & { position: number }, [number, number, number]>(`
    SELECT position, id, recipient AS "to", message_id AS messageId, queued_at AS queuedAt,
      coalesce(content, json_object('subject', subject, 'text', text, 'html', html)) AS content,
      expires_at AS expiresAt, attempts, next_attempt_at AS nextAttemptAt, cooldown_key AS cooldownKey
    FROM outbox WHERE first = ?1 AND next_attempt_at <= ?2
    ORDER BY next_attempt_at, queued_at, position LIMIT ?3`);
  const take = relaxed.prepare<never, [number, number]>(
    "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = ?2 WHERE position = ?1",
  );
  const earliest = relaxed.prepare<{ at: number | null }, [number]>(
    "SELECT min(next_attempt_at) AS at FROM outbox WHERE first = ?",
  );
  const move = relaxed.prepare<never, [string, number, number]>(
    "UPDATE outbox SET next_attempt_at = ?2, attempts = ?3 WHERE id = ?1",
  );
  const remove = relaxed.prepare<never, [string]>("DELETE FROM outbox WHERE id = ?");

  // The lock is taken before the rows are read: of two processes the second sees what the first has taken.
  const claim = relaxed.transaction(
    (first: boolean, now: number, until: number, most: number): OutboxEntry[] =>
      selectDue.all(Number(first), now, most).map(({ position, cooldownKey, ...row }) => {
        take.run(position, until);
        return {
          ...row,
          first,
          cooldownKey: cooldownKey ?? undefined,
          attempts: row.attempts + 1,
          nextAttemptAt: until,
        };
      }),
  );

  function nextOf(first: boolean): number {
    return handle.read(() => earliest.get(Number(first)))?.at ?? Number.POSITIVE_INFINITY;
  }

  return {
    async add(entry, capacity) {
      const { changes } = handle.write(() =>
        insert.run(
          entry.id,
          entry.to,
          entry.content,
          entry.messageId,
          entry.queuedAt,
          entry.expiresAt,
          entry.attempts,
          entry.nextAttemptAt,
          entry.cooldownKey ?? null,
          Number(entry.first),
          capacity,
        ),
      );
      // The same mail again, from a caller who did not hear the first answer: it is queued.
      const queued = changes === 1 || handle.read(() => exists.get(entry.id)) !== null;
      // Not on `durable`: whoever asks for links would have everybody wait for the disk.
      if (queued) await handle.synced();
      return queued;
    },

    claim(first, now, until, most) {
      // Looked at often and mostly empty: no lock for nothing.
      if (nextOf(first) > now) return [];
      return handle.write(() => claim.immediate(first, now, until, most));
    },

    nextDue() {
      const next = Math.min(nextOf(true), nextOf(false));
      return Number.isFinite(next) ? next : undefined;
    },

    postpone(id, nextAttemptAt, attempts) {
      handle.write(() => move.run(id, nextAttemptAt, attempts));
    },

    remove(id) {
      handle.write(() => remove.run(id));
    },
  };
}
