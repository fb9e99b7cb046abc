import type { Clock } from "../clock.ts";
import type { Fields, Logger } from "./logger.ts";

/** What an operator must be able to reconstruct afterwards: who asked, who got in, who was refused and exactly why. */
export type AuditEvent = AuditFacts & {
  /** The name of its kind: snake case, stable. */
  readonly event: string;
  readonly outcome: Outcome;
  /** How many more of them there were within a minute, of which nothing else is kept. */
  readonly repeated?: string;
};

/** `failed` is what was allowed and could not be done. */
type Outcome = "ok" | "refused" | "failed";

/** Plain text all of them, to be logged, kept and searched by. */
export type AuditFacts = {
  /** The exact one, for the operator alone. */
  readonly reason?: string | undefined;
  /** Who or what did it, where that is not the subject. */
  readonly actor?: string | undefined;
  /** Whom it was done to: a canonical address. */
  readonly subject?: string | undefined;
  /** An IP address. */
  readonly client?: string | undefined;
  /** The store's id of it, of which the log gets the beginning (it is a hash of the cookie, so it opens nothing). */
  readonly session?: string | undefined;
  /** The public id of an API key. */
  readonly key?: string | undefined;
  /** Name of an application. */
  readonly route?: string | undefined;
  /** Without the query. */
  readonly path?: string | undefined;
  /** The one that was asked. */
  readonly host?: string | undefined;
  /** Of a request, in capitals. */
  readonly method?: string | undefined;
  /** Of its answer. */
  readonly status?: string | undefined;
  /** How long it lasted. */
  readonly seconds?: string | undefined;
  /** How many requests there were, and how many of them were refused. */
  readonly requests?: string | undefined;
  readonly refused?: string | undefined;
  /** By what means. */
  readonly by?: string | undefined;
  /** The outbox's id of a mail, the same in all that is told of it. */
  readonly mail?: string | undefined;
  /** The how manieth, and of how many. */
  readonly n?: string | undefined;
  readonly of?: string | undefined;
  /** Of a browser: its family and system. */
  readonly agent?: string | undefined;
  /** As the log of requests calls it. */
  readonly request?: string | undefined;
  /** Ends of chains of events (`audit/chain.ts`), until when they were deleted, and what was asked of them. */
  readonly heads?: string | undefined;
  readonly before?: string | undefined;
  /** When it ends, RFC 3339; without it, never. */
  readonly until?: string | undefined;
  readonly filter?: string | undefined;
  readonly version?: string | undefined;
};

/** A kind of event, declared in the room in which it happens. */
export type AuditKind<Fact extends keyof AuditFacts> = {
  readonly event: string;
  /** What it tells, for `deploy/AUDIT.md`. */
  readonly help?: string;
  readonly outcome: Outcome | ((facts: AuditFacts) => Outcome);
  /** The facts it has, under the names and in the order of its line in the log. */
  readonly line: Readonly<Record<string, Fact>>;
  /** Whether it is a refusal that nothing limits the number of. */
  readonly isEndless?: (facts: AuditFacts) => boolean;
  /** What its repetitions have in common, whoever causes them; the reason alone, unless said. */
  readonly foldedBy?: readonly (keyof AuditFacts)[];
};

/** A kind, with the facts it has taken from its line. */
export function defineAudit<const Fact extends keyof AuditFacts>(kind: AuditKind<Fact>): AuditKind<Fact> {
  return kind;
}

export type Audit = <Fact extends keyof AuditFacts>(
  kind: AuditKind<Fact>,
  facts: Readonly<Record<NoInfer<Fact>, string | undefined>> & Beside,
) => void;

/** What is kept of any event where it is known, and stands in no line of the log unless its kind says so. */
type Beside = Pick<AuditFacts, "agent" | "request" | "host" | "route" | "session">;

/**
 * The same for acts that must not happen unrecorded, such as an administrator's: act once it has resolved.
 * @throws {StoreUnavailable}
 */
export type AuditFirst = <Fact extends keyof AuditFacts>(
  kind: AuditKind<Fact>,
  facts: Readonly<Record<NoInfer<Fact>, string | undefined>> & Beside,
) => Promise<void>;

/** One line an event, with the message `audit`: a warning if somebody did not get what they asked for. */
export function createAudit(log: Logger): Audit {
  return (kind, facts) => writeLine(log, kind, facts);
}

function writeLine(log: Logger, kind: AuditKind<keyof AuditFacts>, facts: AuditFacts): void {
  const event = eventOf(kind, facts);
  log[event.outcome === "ok" ? "info" : "warn"]("audit", lineOf(kind, event));
}

function eventOf(kind: AuditKind<keyof AuditFacts>, facts: AuditFacts): AuditEvent {
  const outcome = typeof kind.outcome === "string" ? kind.outcome : kind.outcome(facts);
  return { event: kind.event, outcome, ...facts };
}

function lineOf({ event, line }: AuditKind<keyof AuditFacts>, facts: AuditFacts): Fields {
  const fields: Record<string, string | undefined> = { event };
  for (const [name, fact] of Object.entries(line)) {
    fields[name] = fact === "session" ? facts.session?.slice(0, 8) : facts[fact];
  }
  return fields;
}

/** Those of these names. */
function pick(facts: AuditFacts, names: readonly (keyof AuditFacts)[]): AuditFacts {
  return Object.fromEntries(names.map((name) => [name, facts[name]]));
}

/** Where events are kept, beside the log. */
export type AuditKeep = {
  /** Never throws. */
  keep(event: AuditEvent): void;
  /** @throws {StoreUnavailable} */
  keepFirst(event: AuditEvent): Promise<void>;
};

const KEPT_NOWHERE: AuditKeep = { keep() {}, async keepFirst() {} };

export type AuditListener = (event: AuditEvent) => void;

export type FoldingAudit = {
  readonly audit: Audit;
  readonly auditFirst: AuditFirst;
  /** Tells of every event as it happens, repetitions of refusals included. */
  listen(listener: AuditListener): void;
  /** Writes what has been counted and not been written yet. */
  flush(): void;
};

/** For so long, repetitions of a refusal are counted before their line is written. */
const FOLD_MS = 60_000;
/** Refusals whose repetitions are counted for each client; those of all further clients are counted together. */
const MOST_FOLDED = 100;

/**
 * The same, but for refusals that anybody may cause as often as they can send requests, which would fill any disk: of one kind
 * and client, the first is a line at once, and those of the minute after it are one more, with their number in `repeated`. That
 * one names what they have in common; without a client, it counts those of all who have no line of their own.
 */
export function createFoldingAudit(log: Logger, clock: Clock, kept: AuditKeep = KEPT_NOWHERE): FoldingAudit {
  type Kind = AuditKind<keyof AuditFacts>;
  type Folded = {
    readonly kind: Kind;
    readonly common: AuditFacts;
    readonly until: number;
    repeated: number;
  };
  /** Oldest first. */
  const folded = new Map<string, Folded>();
  const listeners: AuditListener[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  function writeUntil(now: number): void {
    for (const [key, { kind, common, until, repeated }] of folded) {
      if (until > now) break;
      folded.delete(key);
      if (repeated === 0) continue;
      log.warn("audit", { ...lineOf(kind, common), repeated });
      kept.keep({ ...eventOf(kind, common), repeated: `${repeated}` });
    }
    clearTimeout(timer);
    if (folded.size === 0) return;
    timer = setTimeout(() => writeUntil(clock.monotonic()), FOLD_MS);
    timer.unref();
  }

  function tell(kind: Kind, facts: AuditFacts): void {
    if (listeners.length === 0) return;
    const event = eventOf(kind, facts);
    for (const listener of listeners) listener(event);
  }

  function write(kind: Kind, facts: AuditFacts): void {
    writeLine(log, kind, facts);
    kept.keep(eventOf(kind, facts));
  }

  const audit: Audit = (kind, facts) => {
    tell(kind, facts);
    const now = clock.monotonic();
    const [oldest] = folded.values();
    if (oldest !== undefined && oldest.until <= now) writeUntil(now);
    if (kind.isEndless?.(facts) !== true) return write(kind, facts);
    const ofAll = pick(facts, kind.foldedBy ?? ["reason"]);
    const own = { ...ofAll, ...pick(facts, ["client", "path"]) };
    const keyOf = (common: AuditFacts) => JSON.stringify([kind.event, common]);
    const isRoom = folded.size < MOST_FOLDED;
    const known = folded.get(keyOf(own)) ?? (isRoom ? undefined : folded.get(keyOf(ofAll)));
    if (known !== undefined) {
      known.repeated++;
      return;
    }
    const common = isRoom ? own : ofAll;
    folded.set(keyOf(common), { kind, common, until: now + FOLD_MS, repeated: 0 });
    if (folded.size === 1) writeUntil(now);
    write(kind, facts);
  };

  return {
    audit,
    async auditFirst(kind, facts) {
      await kept.keepFirst(eventOf(kind, facts));
      tell(kind, facts);
      writeLine(log, kind, facts);
    },
    listen: (listener) => void listeners.push(listener),
    flush: () => writeUntil(Number.POSITIVE_INFINITY),
  };
}
