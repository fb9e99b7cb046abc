import type { Administrator } from "./administrator.ts";
import type { Gateway } from "./gateways.ts";
import type { PostOffice } from "./mail.ts";
import type { Session } from "./model.ts";
import type { Chance } from "./random.ts";
import type { Troubles } from "./troubles.ts";

/** What everybody shares. */
export type World = {
  readonly gateways: readonly [Gateway, ...Gateway[]];
  readonly troubles: Troubles;
  readonly office: PostOffice;
  readonly administrator: Administrator;
  readonly ledger: Ledger;
  /** Sessions of people who have left, which must go on as the model says, or stay ended. */
  readonly left: HeldSession[];
  /** Who may get mail of those whom no list names; from when on not any more. */
  readonly guests: Map<string, number>;
  /** What is looked at later. */
  readonly later: Set<Promise<void>>;
};

/** With its cookie. */
export type HeldSession = {
  readonly state: Session;
  readonly cookie: string;
  readonly history: readonly string[];
};

export type Ledger = {
  /** Of what was done and how it was answered. */
  count(what: string): void;
  /** What must not be, with what happened before. */
  wrong(what: string, history: readonly string[]): void;
  readonly counts: ReadonlyMap<string, number>;
  acts(): number;
  act(): void;
  readonly violations: readonly string[];
};

const HISTORY = 40;

export function createLedger(print: (line: string) => void): Ledger {
  const counts = new Map<string, number>();
  const violations: string[] = [];
  let acts = 0;
  return {
    counts,
    violations,
    count: (what) => void counts.set(what, (counts.get(what) ?? 0) + 1),
    wrong(what, history) {
      violations.push(what);
      print(
        `VIOLATION: ${what}\n${history
          .slice(-HISTORY)
          .map((line) => `    ${line}`)
          .join("\n")}`,
      );
    },
    acts: () => acts,
    act: () => void acts++,
  };
}

export const anyGateway = ({ gateways }: World, chance: Chance) => chance.pick(gateways);

let clients = 0;

/** A client that nobody was before. */
export function newClient(): string {
  const n = ++clients;
  return `100.${64 + ((n >> 16) & 63)}.${(n >> 8) & 255}.${n & 255}`;
}
