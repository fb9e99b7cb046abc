/**
 * The least that nginx's `auth_request` can ask: a server that lets everybody in and looks at nothing. Whatever really
 * authenticates costs more. Argument: the port to listen on.
 */

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  development: false,
  fetch: () => new Response(null, { status: 204 }),
});
