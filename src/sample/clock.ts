/** Who listens to the clock. */
let listeners = 0;

/** A `text/event-stream` body: an event at once, then one at the start of every second, until the reader leaves. */
export function clockStream(): ReadableStream<Uint8Array> {
  let timer: Timer;
  return new ReadableStream({
    start(controller) {
      listeners++;
      const tick = () => {
        const now = new Date();
        const data = JSON.stringify({ now: now.toISOString(), listeners });
        controller.enqueue(new TextEncoder().encode(`event: tick\nid: ${now.getTime()}\ndata: ${data}\n\n`));
        timer = setTimeout(tick, 1000 - (Date.now() % 1000));
      };
      tick();
    },
    cancel() {
      listeners--;
      clearTimeout(timer);
    },
  });
}
