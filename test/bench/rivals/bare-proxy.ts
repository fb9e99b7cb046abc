/**
 * The floor: what Bun takes to pass a request on when nothing is asked, checked, changed or logged.
 * Arguments: the port to listen on, the port of the application.
 */

const [port, upstreamPort] = process.argv.slice(2);
const origin = `http://127.0.0.1:${upstreamPort}`;

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  development: false,
  maxRequestBodySize: Number.MAX_SAFE_INTEGER,
  idleTimeout: 0,
  fetch({ url, method, headers, body }) {
    return fetch(origin + url.slice(url.indexOf("/", "http://".length)), {
      method,
      headers,
      body,
      redirect: "manual",
      decompress: false,
    });
  },
});
