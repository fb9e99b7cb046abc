import type { Span } from "./model.ts";

/** What was done to the machines, and when: the model excuses with it what a visitor did not get, and never what one got. */
export type Trouble = {
  readonly what: TroubleKind;
  /** Its number, or undefined for all. */
  readonly gateway: number | undefined;
  readonly from: number;
  /** When it was put right again; infinite until then. */
  until: number;
};

export type TroubleKind =
  | "worker killed"
  | "gateway killed"
  | "store killed"
  | "cut silent"
  | "cut refusing"
  | "strain";

export type Troubles = {
  begin(what: TroubleKind, gateway: number | undefined): Trouble;
  /** A machine that was too busy: a gateway gave up a question to its store, as late as it does so. */
  strain(gateway: number, span: Span): void;
  /** The same of all of them: this process itself did not get its turn. */
  stall(span: Span): void;
  /** Whether a gateway may have been in trouble at some time from `from` to `to`, or had only just been. */
  explain(gateway: number, from: number, to: number): boolean;
  /**
   * Whether processes of a gateway were killed meanwhile: the request may have been done by one of them, and sent again by the client
   * to another, as clients do whose connection is closed before an answer.
   */
  killedDuring(gateway: number, span: Span): boolean;
  /** Since when a gateway has had no way to the store at all; undefined if it had one. */
  cutOffSince(gateway: number, at: number): number | undefined;
  /** Whether the store was killed within `ms` after a moment: what it had not written may be lost. */
  killedStoreWithin(at: number, ms: number): boolean;
  readonly all: readonly Trouble[];
};

/** What comes back after a cut is a connection that is tried every two seconds and may take two to fail. */
export const HEALED_AFTER_MS = 8_000;

/** For so long a gateway waits for its store. */
const STORE_PATIENCE_MS = 1_900;

/** Whoever waits that long for a turn may find others waiting for theirs for seconds. */
const STALLED_MS = 500;

const IS_CUT: ReadonlySet<TroubleKind> = new Set(["store killed", "cut silent", "cut refusing"]);

export function createTroubles(now: () => number): Troubles {
  const all: Trouble[] = [];
  const concerns = (one: Trouble, gateway: number) => one.gateway === undefined || one.gateway === gateway;
  return {
    all,
    begin(what, gateway) {
      const one: Trouble = { what, gateway, from: now(), until: Number.POSITIVE_INFINITY };
      all.push(one);
      return one;
    },
    strain(gateway, { from, to }) {
      if (to - from >= STORE_PATIENCE_MS) all.push({ what: "strain", gateway, from, until: to });
    },
    stall({ from, to }) {
      if (to - from >= STALLED_MS) all.push({ what: "strain", gateway: undefined, from, until: to });
    },
    explain: (gateway, from, to) =>
      all.some((one) => concerns(one, gateway) && one.from <= to && one.until + HEALED_AFTER_MS >= from),
    killedDuring: (gateway, { from, to }) =>
      all.some(
        (one) =>
          /^(worker|gateway)/.test(one.what) && concerns(one, gateway) && one.from <= to && one.until >= from,
      ),
    cutOffSince: (gateway, at) =>
      all.find((one) => IS_CUT.has(one.what) && concerns(one, gateway) && one.from <= at && at <= one.until)
        ?.from,
    killedStoreWithin: (at, ms) =>
      all.some(({ what, from, until }) => what === "store killed" && until >= at && from - at <= ms),
  };
}
