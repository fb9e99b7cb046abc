/** An application of WebSockets: what it is told, it says again. Argument: the port to listen on. */

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  development: false,
  fetch: (request, server) =>
    server.upgrade(request) ? undefined : new Response("Everything here is a WebSocket.\n"),
  websocket: {
    message(socket, message) {
      socket.send(message);
    },
  },
});
