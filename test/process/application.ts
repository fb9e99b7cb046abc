import type { ServerWebSocket } from "bun";

/** What is protected, here: it answers at once, slowly, for ever, and over WebSockets. */
export type Application = {
  readonly url: string;
  /** Requests that wait at `/held` until they are let go. */
  readonly held: readonly { release(): void }[];
  stop(): void;
};

export function startApplication(): Application {
  const held: { release(): void }[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    websocket: {
      message: (socket: ServerWebSocket<undefined>, message) => void socket.send(message),
    },
    routes: {
      /** Answers when the test lets it. */
      "/held": async () => {
        await new Promise<void>((release) => held.push({ release }));
        return new Response("held");
      },
      "/events": () => streamed("data: hello\n\n", 100, Number.POSITIVE_INFINITY, "text/event-stream"),
      /** `n` pieces of 1,000 bytes, one every `ms`. */
      "/drip": (request) => {
        const { searchParams } = new URL(request.url);
        return streamed(
          "x".repeat(1000),
          Number(searchParams.get("ms")),
          Number(searchParams.get("n")),
          "text/plain",
        );
      },
      /** Says how many bytes came. */
      "/upload": async (request) => {
        let bytes = 0;
        for await (const piece of request.body ?? []) bytes += piece.byteLength;
        return new Response(String(bytes));
      },
      "/socket": (request, self) => (self.upgrade(request) ? undefined : new Response("no", { status: 400 })),
    },
    fetch: () => new Response("hello"),
  });
  return { url: `http://127.0.0.1:${server.port}`, held, stop: () => void server.stop(true) };
}

function streamed(piece: string, everyMs: number, count: number, type: string): Response {
  const bytes = new TextEncoder().encode(piece);
  let timer: Timer;
  let left = count;
  return new Response(
    new ReadableStream({
      start(controller) {
        const next = () => {
          controller.enqueue(bytes);
          if (--left > 0) return;
          clearInterval(timer);
          controller.close();
        };
        timer = setInterval(next, everyMs);
        next();
      },
      cancel: () => clearInterval(timer),
    }),
    { headers: { "Content-Type": type } },
  );
}
