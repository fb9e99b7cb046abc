import { tableOf } from "./table.ts";

/**
 * Takes over what the version before records kept in tables by type. To be removed with the next release but one.
 *
 * While a new executable takes the place of the running one, the older process goes on for some seconds with the tables that it
 * knows. They stay for an hour, and triggers hand on what it does: whom it lets in or signs out, what it queues, and
 * each link that either of the two accepts, which the other then refuses. Sessions that the newer one ends stay open at the
 * older one as long as that runs; a mail that the older one is just sending may be sent twice, recognizably as the same.
 */
const DAY_MS = 24 * 60 * 60_000;

/** A record, of a row of the older table or of one that is being put there, as `row` says. */
const session = (row: string) =>
  `${row}.id, 1, ${row}.expires_at, json_object('email', ${row}.email, 'createdAt', ${row}.created_at,
    'seenAt', ${row}.seen_at, 'ip', ${row}.ip, 'userAgent', ${row}.user_agent, 'seal', ${row}.seal)`;
// In clear where it is not sealed; appending nothing makes a text of the object. Those that go first are ahead (mail/waiting.ts).
const mail = (row: string) =>
  `${row}.id, 1, max(${row}.expires_at, ${row}.queued_at) + ${30 * DAY_MS}, json_object('to', ${row}.recipient,
    'content', coalesce(${row}.content, json_object('subject', ${row}.subject, 'text', ${row}.text, 'html', ${row}.html) || ''),
    'messageId', ${row}.message_id, 'queuedAt', ${row}.queued_at, 'expiresAt', ${row}.expires_at,
    'attempts', ${row}.attempts, 'turn', ${row}.next_attempt_at - ${1e14} * ${row}.first, 'cooldownKey', ${row}.cooldown_key)`;
const ticket = (row: string) => `${row}.jti, 1, ${row}.expires_at + ${DAY_MS}, '{}'`;

/** Of the table names of the version before, those of the kinds that it became. */
export const PREDECESSORS = { session: "sessions", ticket: "tickets", mail: "outbox" } as const;

/** The step of `migrations.ts` that takes over. */
export const TAKE_OVER_STEP = 4;
export const TAKE_OVER = `
  ${Object.keys(PREDECESSORS)
    .map((kind) => `${tableOf(kind)};`)
    .join("\n")}
  INSERT INTO records_session SELECT ${session("sessions")} FROM sessions;
  INSERT INTO records_ticket SELECT ${ticket("tickets")} FROM tickets;
  INSERT INTO state SELECT 'swept:ticket', value + ${DAY_MS} FROM state WHERE name = 'tickets_swept_until';
  INSERT INTO records_mail SELECT ${mail("outbox")} FROM outbox;
  DELETE FROM outbox;

  CREATE TRIGGER older_session AFTER INSERT ON sessions
    BEGIN INSERT OR IGNORE INTO records_session SELECT ${session("NEW")}; END;
  CREATE TRIGGER older_end AFTER DELETE ON sessions
    BEGIN DELETE FROM records_session WHERE id = OLD.id; END;
  CREATE TRIGGER older_ticket AFTER INSERT ON tickets
    BEGIN INSERT OR IGNORE INTO records_ticket SELECT ${ticket("NEW")}; END;
  CREATE TRIGGER newer_ticket AFTER INSERT ON records_ticket
    BEGIN INSERT OR IGNORE INTO tickets VALUES (NEW.id, NEW.expires_at - ${DAY_MS}); END;
  CREATE TRIGGER older_mail AFTER INSERT ON outbox
    BEGIN INSERT OR IGNORE INTO records_mail SELECT ${mail("NEW")}; DELETE FROM outbox WHERE id = NEW.id; END;
`;

/** With the tables go the triggers on them. */
export const LEAVE_BEHIND = `
  DROP TRIGGER newer_ticket; DROP TABLE sessions; DROP TABLE tickets; DROP TABLE outbox;
  DELETE FROM state WHERE name = 'tickets_swept_until';
`;
