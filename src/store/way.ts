import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../observe/logger.ts";
import { StoreUnavailable } from "./records.ts";

/** The way to a server that may be away, and is asked again and again until it is back. */
export type Way<Opened> = {
  /** What is open. @throws {StoreUnavailable} at once while nothing is, with the reason. */
  current(): Opened;
  /** Says that what is open is of no more use. Of something that is not what is open, nothing. */
  lose(opened: Opened, reason: string): void;
  close(): Opened | undefined;
};

export type WaySettings<Opened> = {
  /** @throws {StoreUnavailable} */
  open(): Promise<Opened>;
  /** Called with each that was opened, before it is used. */
  onOpened(opened: Opened): void;
  /** For the log: without user and password. */
  readonly server: string;
  readonly log: Logger;
  /** Milliseconds; monotonic. */
  readonly now: () => number;
};

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;
const CLOSED = "The store has been closed.";

/** Tries once, and goes on trying. That the server is away is no error: everything throws until it is there. */
export async function openWay<Opened>(settings: WaySettings<Opened>): Promise<Way<Opened>> {
  const { open, onOpened, server, log, now } = settings;
  const closing = new AbortController();
  const { signal } = closing;
  let opened: Opened | undefined;
  /** Why there is none. */
  let reason = "";
  let pause = 0;
  let openedAt = 0;

  /** @returns whether something is open now. */
  async function attempt(): Promise<boolean> {
    try {
      const fresh = await open();
      openedAt = now();
      opened = fresh;
      onOpened(fresh);
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
  return {
    current() {
      if (opened === undefined) throw new StoreUnavailable(reason);
      return opened;
    },
    lose(what, why) {
      if (opened !== what) return;
      opened = undefined;
      reason = why;
      if (signal.aborted) return;
      log.warn("lost the store", { reason, server });
      // At once, unless the one before did not last either.
      pause = now() - openedAt > MAX_PAUSE_MS ? 0 : longer(pause);
      void comeBack();
    },
    close() {
      const last = opened;
      opened = undefined;
      reason = CLOSED;
      closing.abort();
      return last;
    },
  };
}

const longer = (pause: number) => Math.min(Math.max(FIRST_PAUSE_MS, 2 * pause), MAX_PAUSE_MS);
