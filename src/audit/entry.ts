import type { AuditEvent } from "../observe/audit.ts";

/** An event as it is kept, answered and exported. What does not apply is null. */
export type AuditEntry = Unchained & { readonly chain: ChainLink };

export type Unchained = {
  readonly v: 1;
  /** A ULID: in the order of time, and the cursor of lists. */
  readonly id: string;
  /** RFC 3339, in UTC and with milliseconds. */
  readonly time: string;
  readonly event: string;
  readonly outcome: AuditEvent["outcome"];
  readonly reason: string | null;
  /** Who did it. */
  readonly actor: AuditActor;
  /** Whom it was done to. */
  readonly subject: AuditSubject | null;
  readonly route: string | null;
  readonly host: string | null;
  /** @property agent the browser's family and its system, such as `Firefox on Linux`. */
  readonly client: { readonly ip: string; readonly agent: string | null } | null;
  /** As the log of requests calls it. */
  readonly request: string | null;
  /** What else is known of it; of one kind under the same names. */
  readonly details: Readonly<Record<string, string>>;
};

export type AuditActor = {
  readonly kind: "visitor" | "user" | "admin" | "cli" | "key" | "service" | "system";
  readonly email?: string;
  readonly service?: string;
  readonly key?: string;
  /** The beginning of the session's id, which opens nothing. */
  readonly session?: string;
};

export type AuditSubject = { readonly email: string } | { readonly service: string };

export type ChainLink = {
  /** A process: the machine's name, and a word of the process's own. */
  readonly writer: string;
  /** From 1. */
  readonly seq: number;
  /** The hash of the writer's event before; empty for its first. */
  readonly prev: string;
  readonly hash: string;
};

/** Facts that stand elsewhere than among the details. */
const PLACED: ReadonlySet<string> = new Set([
  ...["event", "outcome", "reason", "actor", "subject", "client", "agent", "session", "route", "host"],
  "request",
]);
/** Beyond it a text, such as what a mail server said, is cut. */
const LONGEST = 500;
const SESSION_SHOWN = 8;
const SERVICE = "service:";

/** @param at milliseconds since the epoch. */
export function entryOf(event: AuditEvent, id: string, at: number): Unchained {
  const { reason, subject, route, host, client, agent, request, session } = event;
  const actor = actorOf(event);
  const details: Record<string, string> = {};
  for (const [name, value] of Object.entries(event)) {
    // Heads of chains are ours, and worth nothing when cut.
    if (value !== undefined && !PLACED.has(name))
      details[name] = name === "heads" ? value : textOf(`${value}`);
  }
  if (session !== undefined && actor.session === undefined) details.session = shortOf(session);
  return {
    v: 1,
    id,
    time: new Date(at).toISOString(),
    event: event.event,
    outcome: event.outcome,
    reason: orNull(reason),
    actor,
    subject: subject === undefined ? null : subjectOf(subject),
    route: orNull(route),
    host: orNull(host),
    client: client === undefined ? null : { ip: textOf(client), agent: orNull(agent) },
    request: orNull(request),
    details,
  };
}

function subjectOf(name: string): AuditSubject {
  return name.startsWith(SERVICE) ? { service: textOf(name.slice(SERVICE.length)) } : { email: textOf(name) };
}

/** Callers name whoever did it where that is not whom it happened to. */
function actorOf({ actor, subject, session, key, client }: AuditEvent): AuditActor {
  if (actor === "operator") return { kind: "cli" };
  if (actor !== undefined && actor === subject && actor.includes("@"))
    return { kind: "user", email: textOf(actor) };
  if (actor?.includes("@")) return { kind: "admin", email: textOf(actor) };
  if (actor?.startsWith(SERVICE)) return { kind: "service", service: textOf(actor.slice(SERVICE.length)) };
  // Their own session, ended by themselves.
  if (actor === "user") return { kind: "user", ...(subject === undefined ? {} : { email: textOf(subject) }) };
  if (actor !== undefined) return { kind: "system" };
  if (key !== undefined) return { kind: "key", key };
  if (subject?.includes("@") && session !== undefined)
    return { kind: "user", email: textOf(subject), session: shortOf(session) };
  return { kind: client === undefined ? "system" : "visitor" };
}

const shortOf = (session: string) => session.slice(0, SESSION_SHOWN);

/** Not too long, and what JSON can hold: half a surrogate pair would come back as something else, with another hash. */
function textOf(text: string): string {
  const cut = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  return cut.toWellFormed();
}

const orNull = (text: string | undefined) => (text === undefined ? null : textOf(text));
