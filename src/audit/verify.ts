import { type Head, hashOf, headsIn } from "./chain.ts";
import type { AuditEntry, Unchained } from "./entry.ts";

/** Whether events are as they were written, and all there: of a file, or of the store. */

export type Verdict = {
  readonly events: number;
  readonly chains: number;
  /** The first that is wrong. */
  readonly wrong?: Wrong;
  /** The end of each chain, to compare with later on. */
  readonly heads: readonly Head[];
};

/** @property line from 1; undefined for what is missing behind the last one. */
export type Wrong = { readonly line: number | undefined; readonly id?: string; readonly what: string };

export type Verifier = {
  /** The next event, in the order in which they are exported. */
  take(entry: unknown): void;
  end(): Verdict;
};

/** @param known heads that were noted elsewhere, such as in a log: each has to be there, or to have been pruned. */
export function createVerifier(known: readonly Head[] = []): Verifier {
  type Start = { readonly line: number; readonly id: string; readonly before: Head };
  const heads = new Map<string, Head>();
  const noted = Map.groupBy(known, ({ writer }) => writer);
  /** By chain, the last event that pruning says it deleted. */
  const pruned = new Map<string, Head>();
  /** Chains that do not begin here: right only if what came before was pruned, which is told later. */
  const starts = new Map<string, Start>();
  let line = 0;
  let lastId = "";
  let wrong: Wrong | undefined;

  function say(what: string, id?: string, at: number | undefined = line): void {
    if (wrong !== undefined && (wrong.line ?? Infinity) <= (at ?? Infinity)) return;
    wrong = { line: at, ...(id === undefined ? {} : { id }), what };
  }

  function follow({ id, chain }: AuditEntry): void {
    const { writer, seq, prev } = chain;
    const before = heads.get(writer);
    if (before === undefined) {
      const begins = seq === 1 && prev === "";
      if (!begins) starts.set(writer, { line, id, before: { writer, seq: seq - 1, hash: prev } });
    } else if (seq <= before.seq) say(`number ${seq} of its chain comes after number ${before.seq}`, id);
    else if (seq > before.seq + 1) {
      const missing =
        seq === before.seq + 2 ? `number ${seq - 1}` : `numbers ${before.seq + 1} to ${seq - 1}`;
      say(`${missing} of its chain, which came before it, is missing`, id);
    } else if (prev !== before.hash) say("it does not follow on the event before it in its chain", id);
    const note = noted.get(writer)?.find((one) => one.seq === seq);
    if (note !== undefined && note.hash !== chain.hash) say("it is not what the known head says", id);
    if (before === undefined || seq > before.seq) heads.set(writer, chain);
  }

  /** What came before a start has to be the last that was pruned; and known heads reached, or pruned. */
  function settle(): void {
    for (const [writer, { line: at, id, before }] of starts) {
      const last = pruned.get(writer);
      if (last?.seq === before.seq && last.hash === before.hash) continue;
      say(`its chain begins with number ${before.seq + 1}, and nothing says that others were pruned`, id, at);
    }
    for (const { writer, seq } of known) {
      const reached = Math.max(heads.get(writer)?.seq ?? 0, pruned.get(writer)?.seq ?? 0);
      if (reached >= seq) continue;
      say(
        `the end of a chain is cut off: ${writer} went on to number ${seq}, and ends with ${reached}`,
        undefined,
        undefined,
      );
    }
  }

  return {
    take(value) {
      line++;
      if (!isEntry(value)) return say("it is no event of the audit");
      const { chain, ...entry } = value;
      if (hashOf(chain.prev, entry as Unchained) !== chain.hash)
        say("it was changed: its hash is another", value.id);
      if (value.id <= lastId) say("it is out of order", value.id);
      lastId = value.id;
      follow(value);
      if (value.event === "audit_pruned") {
        for (const head of headsIn(value.details.heads ?? "")) pruned.set(head.writer, head);
      }
    },

    end() {
      settle();
      return {
        ...{ events: line, chains: heads.size },
        ...(wrong === undefined ? {} : { wrong }),
        heads: [...heads.values()].map(({ writer, seq, hash }) => ({ writer, seq, hash })),
      };
    },
  };
}

function isEntry(value: unknown): value is AuditEntry {
  if (typeof value !== "object" || value === null) return false;
  const { id, event, details, chain } = value as Partial<AuditEntry>;
  const { writer, seq, prev, hash } = (chain ?? {}) as Partial<AuditEntry["chain"]>;
  const areTexts = [id, event, writer, prev, hash].every((one) => typeof one === "string");
  return areTexts && Number.isSafeInteger(seq) && typeof details === "object" && details !== null;
}
