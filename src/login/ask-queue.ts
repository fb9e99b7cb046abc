import type { Pause } from "../clock.ts";

/** Of those who wait. The last of them has an answer after {@link ROOM} times {@link GAP_MS}. */
export const ROOM = 100;
/** Between two that begin: 25 a second, which is more than most mail servers take. */
const GAP_MS = 40;
/** So that a store far away does not make it fewer. */
const AT_ONCE = 4;
/** Up to twice as long, so that those who were refused together do not come back together. */
const REFUSAL_MS = 1_000;

/**
 * Asking for login links, beside the way of those who are signed in. What an ask costs (limits, signatures, a mail in the store)
 * is done for a few at a time and for no more than so many a second, however many ask; nothing here knows an address, so that
 * everybody waits or is turned away alike.
 */
export function createAskQueue(pause: Pause) {
  const waiting: Array<() => Promise<unknown>> = [];
  let underWay = 0;
  let resting = false;

  function next(): void {
    if (resting || underWay === AT_ONCE) return;
    const begin = waiting.shift();
    if (begin === undefined) return;
    underWay++;
    void begin().then(() => {
      underWay--;
      next();
    });
    resting = true;
    void pause(GAP_MS).then(() => {
      resting = false;
      next();
    });
  }

  const isFull = () => waiting.length >= ROOM;

  return {
    isFull,

    /** How much of it is used, from 0 to 1. */
    share: () => waiting.length / ROOM,

    /** Does `work` when it is its turn. @returns undefined if the queue is full. */
    run<T>(work: () => Promise<T>): Promise<T> | undefined {
      if (isFull()) return undefined;
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      waiting.push(() => work().then(resolve, reject));
      next();
      return promise;
    },

    /**
     * To be awaited before somebody hears that the queue is full: whoever asks again as soon as they have their answer would
     * otherwise keep the process busy with answering them.
     */
    beforeRefusal: () => pause(REFUSAL_MS * (1 + Math.random())),
  };
}
