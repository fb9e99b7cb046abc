import type { Clock } from "../clock.ts";
import { NO_GROUPS } from "../identity/principal.ts";
import { boundedText } from "../net/bounded-text.ts";
import type { Logger } from "../observe/logger.ts";
import { MINUTE, SECOND } from "../option/values.ts";
import { type Decision, MOST_ANSWER, readDecision } from "./decision.ts";
import type { CountHook, Vouched } from "./hooks.ts";
import { reasonOf, type Send } from "./send.ts";
import { type Hook, LONGEST_DECISION } from "./table.ts";

/** @property reason for the operator: `denied`, or why there was no answer that counts. */
export type Judgment =
  | ({ readonly isAllowed: true } & Vouched)
  | {
      readonly isAllowed: false;
      readonly hook: string;
      readonly reason: string;
      readonly message: string | undefined;
    };

const TIMEOUT = 2 * SECOND;
/** A hook that has failed so often within a minute is left alone for a while. */
const MOST_FAILURES = 10;
const FAILURES_MS = MINUTE;
const LEFT_ALONE_MS = 30 * SECOND;

/** Asks hooks that decide, one after the other: all must allow. */
export function createJudge(settings: {
  readonly send: Send;
  readonly count: CountHook;
  readonly log: Logger;
  readonly clock: Pick<Clock, "monotonic">;
}) {
  const { send, count, log, clock } = settings;
  /** By hook: when it failed lately, and until when it is not asked. Of this process alone. */
  const circuits = new Map<string, { failures: number[]; openUntil: number }>();

  function circuitOf(hook: string) {
    const known = circuits.get(hook) ?? { failures: [], openUntil: Number.NEGATIVE_INFINITY };
    circuits.set(hook, known);
    return known;
  }

  function noteFailure(hook: string): void {
    const circuit = circuitOf(hook);
    const now = clock.monotonic();
    circuit.failures = [...circuit.failures.filter((at) => at > now - FAILURES_MS), now].slice(
      -MOST_FAILURES,
    );
    if (circuit.failures.length < MOST_FAILURES) return;
    circuit.openUntil = now + LEFT_ALONE_MS;
    log.error("a hook fails again and again, and is not asked for a while", { hook });
  }

  /** @returns its decision, or why there is none. */
  async function ask(
    hook: Hook,
    call: { readonly id: string; readonly body: string },
    until: number,
  ): Promise<Decision | string> {
    const circuit = circuitOf(hook.name);
    const left = until - clock.monotonic();
    if (clock.monotonic() < circuit.openUntil || left < 1) {
      count(hook.name, "skipped");
      return "not asked";
    }
    const failed = (reason: string) => {
      noteFailure(hook.name);
      count(hook.name, "failed");
      log.warn("a hook did not decide", { hook: hook.name, call: call.id, reason });
      return reason;
    };
    try {
      const response = await send(hook, call, Math.min(hook.timeout ?? TIMEOUT, left));
      const decision = readDecision(response.status, await boundedText(response, MOST_ANSWER));
      if (decision === undefined) return failed(`no decision (${response.status})`);
      circuit.failures = [];
      count(hook.name, decision.isAllowed ? "allowed" : "denied");
      return decision;
    } catch (error) {
      return failed(reasonOf(error));
    }
  }

  return async (
    hooks: readonly Hook[],
    call: { readonly id: string; readonly body: string },
  ): Promise<Judgment> => {
    const until = clock.monotonic() + LONGEST_DECISION;
    let added = NO_GROUPS;
    let maxAge: number | undefined;
    for (const hook of hooks) {
      const decision = await ask(hook, call, until);
      if (typeof decision === "string") {
        if (hook.onError === "allow") continue;
        return { isAllowed: false, hook: hook.name, reason: decision, message: undefined };
      }
      if (!decision.isAllowed)
        return { isAllowed: false, hook: hook.name, reason: "denied", message: decision.message };
      added = added.union(decision.groups);
      maxAge = shorter(maxAge, decision.maxAge);
    }
    return { isAllowed: true, added, maxAge };
  };
}

function shorter(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}
