/** The clock as server-sent events: one timer for all who listen, none while nobody does. */

type Listener = (frame: Uint8Array<ArrayBuffer>) => void;

/** Seconds between comment lines, which proxies and readers skip but which keep a connection from looking dead. */
const HEARTBEAT = 15;

export type Ticker = {
  /** A `text/event-stream` body: an event at once, then one at the start of every second, until the reader leaves. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Ends every stream and the timer. */
  stop(): void;
};

export function createTicker(): Ticker {
  const listeners = new Map<Listener, () => void>();
  let timer: Timer | undefined;
  let ticks = 0;

  const frame = () => {
    const now = new Date();
    const data = JSON.stringify({ now: now.toISOString(), listeners: listeners.size });
    const heartbeat = ticks % HEARTBEAT === 0 ? ": heartbeat\n" : "";
    return new TextEncoder().encode(
      `${heartbeat}event: tick\nid: ${Math.floor(now.getTime() / 1000)}\ndata: ${data}\n\n`,
    );
  };
  const schedule = () => {
    const left = 1000 - (Date.now() % 1000);
    // A timer may fire a touch early; what is left of its second then is no second of its own.
    timer = setTimeout(tick, left < 50 ? left + 1000 : left);
  };
  const tick = () => {
    ticks++;
    const bytes = frame();
    for (const send of listeners.keys()) send(bytes);
    schedule();
  };
  const leave = (listener: Listener) => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearTimeout(timer);
    timer = undefined;
  };

  return {
    stream() {
      let listener: Listener;
      return new ReadableStream({
        start(controller) {
          listener = (bytes) => {
            // A reader that fell behind wants the time it is, not the times it was.
            if ((controller.desiredSize ?? 0) > 0) controller.enqueue(bytes);
          };
          listeners.set(listener, () => controller.close());
          if (timer === undefined) schedule();
          controller.enqueue(new TextEncoder().encode("retry: 1000\n\n"));
          controller.enqueue(frame());
        },
        cancel: () => leave(listener),
      });
    },
    stop() {
      for (const [listener, end] of listeners) {
        end();
        leave(listener);
      }
    },
  };
}
