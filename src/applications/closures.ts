import type { Route } from "../access/route.ts";
import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { FOREVER, type Kind, type RecordStore } from "../store/records.ts";

/** Applications that an operator has closed for maintenance, besides those that the file closes. */
export type Closures = {
  /** What is said to whoever comes; undefined for one that is open. */
  textOf(route: Route): string | undefined;
  /** False where it was closed already. @throws {StoreUnavailable} */
  close(route: Route, text: string): Promise<boolean>;
  /** False where no operator had closed it. @throws {StoreUnavailable} */
  open(route: Route): Promise<boolean>;
  /** Learns what other processes and machines have closed and opened. Never rejects. */
  look(): Promise<void>;
  start(): void;
  stop(): void;
};

export const CLOSURES: Kind<Closure> = { name: "closure", order: "closedAt" };
type Closure = { readonly text: string; readonly closedAt: number };

/** Other processes and machines follow within that time. */
const LOOK_EVERY_MS = 2_000;

export function createClosures(store: RecordStore, clock: Clock, log: Logger): Closures {
  const records = store.records(CLOSURES);
  let closed: ReadonlyMap<string, string> = new Map();
  let timer: ReturnType<typeof setInterval> | undefined;

  async function look(): Promise<void> {
    try {
      const all = await records.find({ most: 10_000 });
      closed = new Map(all.map(({ id, record }) => [id, record.text]));
    } catch (error) {
      // What was closed stays closed.
      log.warn("could not look which applications are closed", { reason: messageOf(error) });
    }
  }

  return {
    textOf: ({ name, maintenance }) => maintenance ?? (closed.size === 0 ? undefined : closed.get(name)),

    async close({ name }, text) {
      const isNew = await records.add(name, { text, closedAt: clock.now() }, FOREVER);
      await look();
      return isNew;
    },

    async open({ name }) {
      const was = (await records.take(name)) !== undefined;
      await look();
      return was;
    },

    look,

    start() {
      void look();
      timer ??= setInterval(look, LOOK_EVERY_MS);
      timer.unref();
    },

    stop() {
      clearInterval(timer);
      timer = undefined;
    },
  };
}
