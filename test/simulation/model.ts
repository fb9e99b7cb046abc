import type { Troubles } from "./troubles.ts";

/**
 * What must be true of what visitors get, whatever happens to the machines: of each answer, whether it has to be as it is, may be,
 * or may not. Times are milliseconds on one monotonic clock. What is not known exactly, such as when a session ended that somebody
 * asked to end, is an interval, and counts for the gateways.
 */

export const RULES = {
  sessionTtl: 90_000,
  sessionIdle: 60_000,
  linkLife: 60_000,
  cooldown: 20_000,
  window: 60_000,
  loginsPerWindow: 5,
  attemptsPerWindow: 10,
  /** In which what has ended anywhere is closed and refused everywhere. */
  endsWithin: 5_000,
} as const;

/** An act under way. */
export type Span = { readonly from: number; readonly to: number };

/** How a gateway answered: `away` is 503, and `none` no answer at all. */
export type Answer = "in" | "out" | "away" | "none";

export type Session = {
  readonly email: string;
  readonly begun: Span;
  /** The last time that it was let in. */
  used: Span;
  /** Since when it may have ended. */
  mayEndFrom: number;
  /** By when it has ended for certain. */
  endedBy: number;
};

export const newSession = (email: string, begun: Span): Session => ({
  email,
  begun,
  used: begun,
  mayEndFrom: Number.POSITIVE_INFINITY,
  endedBy: Number.POSITIVE_INFINITY,
});

/** Clocks are read at other moments than the answers arrive. */
const SLACK_MS = 500;

/** @returns what is wrong with how a session, or a key, was answered at a gateway. */
export function judgeUse(
  { begun, used, mayEndFrom, endedBy }: Session,
  { from, to }: Span,
  gateway: number,
  answer: Answer,
  troubles: Troubles,
  /** Keys last longer than the run. */
  ages = true,
): string | undefined {
  if (answer === "in") {
    if (from > endedBy + RULES.endsWithin)
      return `let in ${Math.round(from - endedBy)} ms after it had ended`;
    if (ages && from > begun.to + RULES.sessionTtl + SLACK_MS) return "let in after its time";
    if (ages && from > used.to + RULES.sessionIdle + RULES.endsWithin) return "let in after too long a rest";
    const cut = troubles.cutOffSince(gateway, from);
    if (cut !== undefined && from > cut + RULES.endsWithin)
      return `let in ${Math.round(from - cut)} ms after the store was away`;
    return undefined;
  }
  if (answer !== "out")
    return troubles.explain(gateway, from, to) ? undefined : `"${answer}" though nothing was wrong`;
  if (mayEndFrom <= to) return undefined;
  if (ages && to > begun.from + RULES.sessionTtl - SLACK_MS) return undefined;
  if (ages && to > restedUntil(begun, used, to, troubles) - SLACK_MS) return undefined;
  return "refused though it had not ended";
}

/** Until when it has not rested for too long: its use is noted once in half of that, and not while the store is away. */
function restedUntil(begun: Span, used: Span, to: number, troubles: Troubles): number {
  const first = begun.from + RULES.sessionIdle;
  const calm = troubles.all.every(({ until, from }) => until < used.from - RULES.sessionIdle || from > to);
  return calm ? Math.max(first, used.from + RULES.sessionIdle / 2) : first;
}

export type Ticket = {
  readonly email: string;
  readonly asked: Span;
  /** Whether it has been used: for certain, or perhaps. */
  spent: "no" | "perhaps" | "yes";
  /** From when on its address may not sign in any more. */
  shutOutBy: number;
};

export type Try = { readonly span: Span; readonly gateway: number; readonly answer: Answer | "limited" };

/** Several at once count together. @returns what is wrong. */
export function judgeRedemption(
  ticket: Ticket,
  tries: readonly Try[],
  troubles: Troubles,
): string | undefined {
  const letIn = tries.filter(({ answer }) => answer === "in");
  if (letIn.length > 1) return `${letIn.length} at once were let in by one link`;
  const [one] = letIn;
  if (one !== undefined) {
    if (ticket.spent === "yes") return "let in by a link that was used";
    if (one.span.from > ticket.asked.to + RULES.linkLife) return "let in by a link after its time";
    if (one.span.from > ticket.shutOutBy + RULES.endsWithin) return "let in though shut out";
    const cut = troubles.cutOffSince(one.gateway, one.span.from);
    if (cut !== undefined && one.span.from > cut + RULES.endsWithin) return "let in while the store was away";
    return undefined;
  }
  for (const { span, gateway, answer } of tries) {
    if ((answer === "away" || answer === "none") && !troubles.explain(gateway, span.from, span.to))
      return `"${answer}" though nothing was wrong`;
  }
  const isGood =
    ticket.spent === "no" &&
    tries.every((one) => one.answer === "out" && !troubles.killedDuring(one.gateway, one.span));
  const last = Math.max(...tries.map(({ span }) => span.to));
  if (!isGood || last > ticket.asked.from + RULES.linkLife - 1_000 - SLACK_MS) return undefined;
  return ticket.shutOutBy < Number.POSITIVE_INFINITY ? undefined : "a good link was refused";
}

/** Says of a ticket what it is after that. */
export function afterRedemption(ticket: Ticket, tries: readonly Try[], troubles: Troubles): void {
  if (tries.some(({ answer }) => answer === "in")) ticket.spent = "yes";
  else if (ticket.spent === "no" && tries.some((one) => isUncertain(one, troubles))) ticket.spent = "perhaps";
}

function isUncertain({ answer, gateway, span }: Try, troubles: Troubles): boolean {
  return answer === "away" || answer === "none" || troubles.killedDuring(gateway, span);
}

/** What was counted on a limit. `perhaps`: a gateway did not say. */
export type Hit = { readonly span: Span; readonly counted: "yes" | "perhaps" };

/** Of a store that is killed, the last moments of what is counted may be lost. */
const FORGOTTEN_MS = 1_000;

/** @returns what is wrong with a hit that was allowed. Called before it is added to the others. */
export function judgeAllowed(
  hits: readonly Hit[],
  span: Span,
  most: number,
  windowMs: number,
  troubles: Troubles,
) {
  const sure = hits.filter(
    (hit) =>
      hit.counted === "yes" &&
      hit.span.from > span.to - windowMs &&
      !troubles.killedStoreWithin(hit.span.to, FORGOTTEN_MS),
  );
  return sure.length >= most
    ? `allowed, with ${sure.length} of ${most} in ${windowMs / 1000} s before`
    : undefined;
}

/** @returns what is wrong with a hit that was refused. */
export function judgeLimited(
  hits: readonly Hit[],
  span: Span,
  most: number,
  windowMs: number,
): string | undefined {
  const possible = hits.filter((hit) => hit.span.to > span.from - windowMs - SLACK_MS);
  return possible.length < most
    ? `limited, with ${possible.length} of ${most} in ${windowMs / 1000} s before`
    : undefined;
}

/** @returns what is wrong with a stream that ended, or is open, at a time, on a session that has ended. */
export function judgeStream(endedBy: number, closedAt: number | undefined, now: number): string | undefined {
  const late = (closedAt ?? now) - endedBy;
  return late > RULES.endsWithin + SLACK_MS
    ? `a stream was open ${Math.round(late)} ms after its session had ended`
    : undefined;
}
