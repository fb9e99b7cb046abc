import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../observe/logger.ts";
import { type Awaitable, StoreUnavailable } from "./records.ts";

/** The way to a server that may be away, and is asked again and again until it is back. */
export type Way<Opened> = {
  /** What is open. @throws {StoreUnavailable} at once while nothing is, with the reason. */
  current(): Opened;
  readonly lose: Lose<Opened>;
  /** The same, or undefined. */
  peek(): Opened | undefined;
};

/** Says that what is open is of no more use. Of something that is not what is open, nothing. */
export type Lose<Opened> = (opened: Opened, reason: string) => void;

export type WaySettings<Opened> = {
  /** Opens one and calls `use` with it once it can be used. @throws {StoreUnavailable} */
  open(use: (opened: Opened) => void, lose: Lose<Opened>): Promise<void>;
  /** Called with each that is used from now on. */
  onOpened(opened: Opened): Awaitable<unknown>;
  /** For the log: without user and password. */
  readonly server: string;
  readonly log: Logger;
  /** Aborted when the store is closed. */
  readonly signal: AbortSignal;
};

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;
export const CLOSED = "The store has been closed.";

/** Tries once, and goes on trying. That the server is away is no error: everything throws until it is there. */
export async function openWay<Opened>(settings: WaySettings<Opened>): Promise<Way<Opened>> {
  const { open, onOpened, server, log, signal } = settings;
  let opened: Opened | undefined;
  /** Why there is none. */
  let reason = "";
  let pause = 0;
  let openedAt = 0;

  /** @returns whether something is open now. */
  async function attempt(): Promise<boolean> {
    try {
      await open((fresh) => {
        opened = fresh;
      }, lose);
      openedAt = performance.now();
      if (opened !== undefined) await onOpened(opened);
      return true;
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      if (reason !== "" && error.message !== reason)
        log.debug("the store is still away", { reason: error.message, server });
      reason = error.message;
      pause = longer(pause);
      return false;
    }
  }

  function lose(what: Opened, why: string): void {
    if (opened !== what) return;
    opened = undefined;
    reason = why;
    if (signal.aborted) return;
    log.warn("lost the store", { reason, server });
    // At once, unless the one before did not last either.
    pause = performance.now() - openedAt > MAX_PAUSE_MS ? 0 : longer(pause);
    void comeBack();
  }

  async function comeBack(): Promise<void> {
    do {
      await sleep(pause, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
    } while (!(await attempt()));
    log.info("the store is back", { server });
  }

  if (!(await attempt())) {
    log.warn("the store cannot be reached yet", { reason, server });
    void comeBack();
  }
  signal.addEventListener("abort", () => {
    opened = undefined;
    reason = CLOSED;
  });
  return {
    current() {
      if (opened === undefined) throw new StoreUnavailable(reason);
      return opened;
    },
    lose,
    peek: () => opened,
  };
}

const longer = (pause: number) => Math.min(Math.max(FIRST_PAUSE_MS, 2 * pause), MAX_PAUSE_MS);
