/** What happened, and why: everything that went otherwise than asked for must have a cause that is known beforehand. */
export type Ledger = {
  did(what: string): void;
  /** Something went wrong, as it must where `cause` is at work. */
  excuse(cause: string): void;
  /** Something went wrong, and nothing explains it. */
  blame(what: string): void;
  readonly done: ReadonlyMap<string, number>;
  readonly excused: ReadonlyMap<string, number>;
  /** The first of them, in full, with the time. */
  readonly unexplained: readonly string[];
  /** How many there were. */
  unexplainedCount(): number;
};

const MOST_TOLD = 50;

export function createLedger(): Ledger {
  const done = new Map<string, number>();
  const excused = new Map<string, number>();
  const unexplained: string[] = [];
  let count = 0;
  const add = (to: Map<string, number>, key: string) => to.set(key, (to.get(key) ?? 0) + 1);

  return {
    done,
    excused,
    unexplained,
    unexplainedCount: () => count,
    did: (what) => void add(done, what),
    excuse: (cause) => void add(excused, cause),
    blame(what) {
      count++;
      if (unexplained.length < MOST_TOLD) unexplained.push(`${new Date().toISOString()} ${what}`);
    },
  };
}

/** Something that a visitor did not get, of a kind that a restart of the application explains. */
export class Mishap extends Error {
  readonly kind: "502" | "no answer" | "broken off" | "WebSocket refused" | "WebSocket closed";
  constructor(kind: Mishap["kind"], detail = "") {
    super(detail === "" ? kind : `${kind}: ${detail}`);
    this.kind = kind;
  }
}

/** Something that a visitor got and should not have, whatever else goes on. */
export class Wrong extends Error {}
