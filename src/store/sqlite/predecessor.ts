/**
 * Takes over what the version before records kept in tables by type. To be removed with the next release but one.
 *
 * While a new executable takes the place of the running one, the older process goes on for some seconds with the tables that it
 * knows. They stay for an hour, and triggers hand on what it does: whom it lets in or signs out, what it queues, and
 * each link that either of the two accepts, which the other then refuses. Sessions that the newer one ends stay open at the
 * older one as long as that runs; a mail that the older one is just sending may be sent twice, recognizably as the same.
 */
const DAY_MS = 24 * 60 * 60_000;

const table = (name: string) =>
  `CREATE TABLE records_${name} (id TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT;`;

/** A record, of a row of the older table or of one that is being put there, as `prefix` says. */
const session = (prefix = "") =>
  `${prefix}id, 1, ${prefix}expires_at, json_object('email', ${prefix}email, 'createdAt', ${prefix}created_at,
    'seenAt', ${prefix}seen_at, 'ip', ${prefix}ip, 'userAgent', ${prefix}user_agent, 'seal', ${prefix}seal)`;
// In clear where it is not sealed; appending nothing makes a text of the object. Those that go first are ahead (mail/waiting.ts).
const mail = (prefix = "") =>
  `${prefix}id, 1, max(${prefix}expires_at, ${prefix}queued_at) + ${30 * DAY_MS}, json_object('to', ${prefix}recipient,
    'content', coalesce(${prefix}content,
      json_object('subject', ${prefix}subject, 'text', ${prefix}text, 'html', ${prefix}html) || ''),
    'messageId', ${prefix}message_id, 'queuedAt', ${prefix}queued_at, 'expiresAt', ${prefix}expires_at,
    'attempts', ${prefix}attempts, 'turn', ${prefix}next_attempt_at - ${1e14} * ${prefix}first, 'cooldownKey', ${prefix}cooldown_key)`;

/** Of the table names of the version before, those of the kinds that it became. */
export const PREDECESSORS = { session: "sessions", ticket: "tickets", mail: "outbox" } as const;

/** The step of `migrations.ts` that takes over. */
export const TAKE_OVER_STEP = 4;
export const TAKE_OVER = `
  ${Object.keys(PREDECESSORS).map(table).join("\n")}
  INSERT INTO records_session SELECT ${session()} FROM sessions;
  INSERT INTO records_ticket SELECT jti, 1, expires_at + ${DAY_MS}, '{}' FROM tickets;
  INSERT INTO state SELECT 'swept:ticket', value + ${DAY_MS} FROM state WHERE name = 'tickets_swept_until';
  INSERT INTO records_mail SELECT ${mail()} FROM outbox;
  DELETE FROM outbox;

  CREATE TRIGGER older_session AFTER INSERT ON sessions
    BEGIN INSERT OR IGNORE INTO records_session SELECT ${session("NEW.")}; END;
  CREATE TRIGGER older_end AFTER DELETE ON sessions
    BEGIN DELETE FROM records_session WHERE id = OLD.id; END;
  CREATE TRIGGER older_ticket AFTER INSERT ON tickets
    BEGIN INSERT OR IGNORE INTO records_ticket VALUES (NEW.jti, 1, NEW.expires_at + ${DAY_MS}, '{}'); END;
  CREATE TRIGGER newer_ticket AFTER INSERT ON records_ticket
    BEGIN INSERT OR IGNORE INTO tickets VALUES (NEW.id, NEW.expires_at - ${DAY_MS}); END;
  CREATE TRIGGER older_mail AFTER INSERT ON outbox
    BEGIN INSERT OR IGNORE INTO records_mail SELECT ${mail("NEW.")}; DELETE FROM outbox WHERE id = NEW.id; END;
`;

/** The last of the older version. Nothing happens where it is gone. */
export const LEAVE_BEHIND = `
  ${["older_session", "older_end", "older_ticket", "newer_ticket", "older_mail"].map((name) => `DROP TRIGGER IF EXISTS ${name};`).join(" ")}
  ${Object.values(PREDECESSORS)
    .map((name) => `DROP TABLE IF EXISTS ${name};`)
    .join(" ")}
  DELETE FROM state WHERE name = 'tickets_swept_until';
`;
