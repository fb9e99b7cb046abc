import { type Clock, type Random, systemPause } from "../clock.ts";
import { retryAfterOf } from "../net/retry-after.ts";
import type { Audit } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { HOUR, MINUTE, SECOND } from "../option/values.ts";
import { HOOK_FAILED } from "./audit.ts";
import type { CountHook, Turned } from "./hooks.ts";
import { reasonOf, type Send } from "./send.ts";
import type { Hook } from "./table.ts";
import type { Claimed, WaitingCalls } from "./waiting.ts";

/** Tells hooks what waits for them, at least once. */
export type Delivery = {
  /** To be called when there is something new. */
  wake(): void;
  runDue(): Promise<void>;
  start(): void;
  /** Takes up nothing more, and waits a moment for what is under way. */
  stop(): Promise<void>;
};

/** Between two tries; after the last it is given up. */
const WAITS = [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR] as const;
/** Calls that failed together should not come back together. */
const JITTER = 0.1;
const LONGEST_RETRY_AFTER = 24 * HOUR;
const TIMEOUT = 15 * SECOND;
/** For so long a try has its call to itself. Longer than one can take. */
const CLAIM = 20 * SECOND;
/** Of each hook, so that one that hangs keeps no other waiting. */
const PARALLEL = 4;
/** Others put calls there too, and may end before they are delivered. */
const LOOK_EVERY = 5 * SECOND;
const STOP_PATIENCE = 5 * SECOND;

export function createDelivery(settings: {
  readonly hooks: readonly Hook[];
  readonly waiting: WaitingCalls;
  readonly turned: Turned;
  readonly send: Send;
  readonly count: CountHook;
  readonly audit: Audit;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
}): Delivery {
  const { hooks, waiting, turned, send, count, audit, log, clock, random } = settings;
  /** By hook. */
  const underWay = new Map<string, Set<Promise<void>>>(hooks.map(({ name }) => [name, new Set()]));
  let running = false;
  let timer: ReturnType<typeof setInterval> | undefined;
  let looking: Promise<void> | undefined;
  let lookAgain = false;

  const settled = () => Promise.all([...underWay.values()].flatMap((attempts) => [...attempts]));

  /** Starts what is due, as far as there is room. One pass at a time; a call during a pass makes it look again. */
  function look(): Promise<void> {
    lookAgain = true;
    looking ??= (async () => {
      while (lookAgain) {
        lookAgain = false;
        await Promise.all(hooks.map(startDue));
      }
    })().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function startDue(hook: Hook): Promise<void> {
    const attempts = underWay.get(hook.name) ?? new Set();
    const room = PARALLEL - attempts.size;
    if (room <= 0) return;
    try {
      const now = clock.now();
      for (const claimed of await waiting.claim(hook.name, now, now + CLAIM, room)) {
        const attempt = settle(hook, claimed).finally(() => {
          attempts.delete(attempt);
          if (running) void look();
        });
        attempts.add(attempt);
      }
    } catch (error) {
      logStoreFailure(error);
    }
  }

  /** Never rejects. What the store was not told of is tried again when its claim is over. */
  async function settle(hook: Hook, claimed: Claimed): Promise<void> {
    try {
      await deliver(hook, claimed);
    } catch (error) {
      logStoreFailure(error);
    }
  }

  function logStoreFailure(error: unknown): void {
    log.error("the store of hook calls failed, will try again", { reason: messageOf(error) });
  }

  /** @throws {StoreUnavailable} */
  async function deliver(hook: Hook, claimed: Claimed): Promise<void> {
    const { body, id } = claimed;
    if ((await turned.offSince(hook)) !== undefined) {
      count(hook.name, "off");
      return waiting.remove(claimed);
    }
    if (body === undefined) return giveUp(claimed, "unreadable");
    let reason: string;
    let retryAfter = 0;
    try {
      const response = await send(hook, { id, body }, hook.timeout ?? TIMEOUT);
      // What it says beside is nobody's.
      await response.body?.cancel();
      if (response.ok) {
        count(hook.name, "delivered");
        return waiting.remove(claimed);
      }
      if (response.status === 410) {
        await turned.off(hook);
        return giveUp(claimed, "410: turned off");
      }
      reason = `${response.status}`;
      if (response.status === 429 || response.status === 503)
        retryAfter = Math.min(retryAfterOf(response, clock.now()) ?? 0, LONGEST_RETRY_AFTER);
    } catch (error) {
      reason = reasonOf(error);
    }
    await tryLater(claimed, reason, retryAfter);
  }

  async function tryLater(claimed: Claimed, reason: string, retryAfter: number): Promise<void> {
    const { id, hook, event, attempts } = claimed;
    const wait = WAITS[attempts - 1];
    if (wait === undefined) return giveUp(claimed, reason);
    count(hook, "retried");
    log.warn("a hook failed, will try again", { hook, event, call: id, attempt: attempts, reason });
    const [byte = 0] = random.bytes(1);
    const later = Math.max(wait * (1 + (JITTER * byte) / 255), retryAfter);
    await waiting.postpone(claimed, clock.now() + Math.round(later));
  }

  async function giveUp(claimed: Claimed, reason: string): Promise<void> {
    const { hook, event, attempts } = claimed;
    await waiting.remove(claimed);
    count(hook, "given_up");
    audit(HOOK_FAILED, { by: hook, of: event, n: String(attempts), reason });
  }

  return {
    wake() {
      if (running) void look();
    },
    async runDue() {
      await look();
      for (let all = await settled(); all.length > 0; all = await settled()) await look();
    },
    start() {
      running = true;
      timer = setInterval(() => void look(), LOOK_EVERY);
      timer.unref();
      void look();
      void waiting.keepOnly(new Set(underWay.keys())).catch(logStoreFailure);
    },
    async stop() {
      running = false;
      clearInterval(timer);
      await Promise.race([looking?.then(settled) ?? settled(), systemPause(STOP_PATIENCE)]);
    },
  };
}
