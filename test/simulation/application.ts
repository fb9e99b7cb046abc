import { APPLICATION_PORT } from "./gateways.ts";

/** What is protected: it says whom it was told of, and keeps streams and WebSockets open. */
export function startApplication(hostname: string): { stop(): void } {
  const server = Bun.serve({
    hostname,
    port: APPLICATION_PORT,
    idleTimeout: 0,
    fetch(request, server) {
      const { pathname } = new URL(request.url);
      if (pathname === "/socket")
        return server.upgrade(request) ? undefined : new Response("This is a WebSocket.", { status: 426 });
      if (pathname !== "/events") return new Response(request.headers.get("X-Runegate-User"));
      const events = new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode("data: hello\n\n")),
      });
      return new Response(events, { headers: { "Content-Type": "text/event-stream" } });
    },
    websocket: { message() {} },
  });
  return { stop: () => void server.stop(true) };
}
