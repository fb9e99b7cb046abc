import css from "../../static/sample/app.css" with { type: "text" };
import script from "../../static/sample/app.js" with { type: "text" };
import logo from "../../static/sample/logo.svg" with { type: "text" };
import { COOKIES_TO_CLEAR, cookiesToSet, receivedCookies } from "./cookies.ts";
import { download } from "./download.ts";
import { html } from "./html.ts";
import { identityOf } from "./identity.ts";
import { MultipartError } from "./multipart.ts";
import { answer, cookieList, indexPage, problem } from "./page.ts";
import { ParameterError, parameter, parseErrorStatus, parseSeconds } from "./quantity.ts";
import { createSocketHandlers, type SocketData, upgradeToChat, upgradeToEcho } from "./sockets.ts";
import { createTicker } from "./ticker.ts";
import { receiveUpload } from "./upload.ts";

/**
 * The sample application: somebody's web app, for Runegate to stand in front of. It knows nothing of the gateway but
 * the headers it is sent, and is built the way an application behind a gateway should be: it listens where only the
 * gateway can reach it, and leaves signing in to it.
 */

type Server = Bun.Server<SocketData>;
type Handler = (request: Request, server: Server) => Response | undefined | Promise<Response | undefined>;

export type Sample = {
  /** `http://127.0.0.1:7860`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Closes every connection, and is done when the port is free. */
  stop(): Promise<void>;
};

/**
 * Starts the sample application.
 * @param port 0 for any free one.
 * @throws an `Error` with `code` `EADDRINUSE` (or another of the operating system's) if it cannot listen there.
 */
export function startSample({ hostname, port }: { hostname: string; port: number }): Sample {
  const ticker = createTicker();
  const server: Server = Bun.serve<SocketData>({
    hostname,
    port,
    // Its only client is the gateway, which decides how long a connection, a stream or an upload may rest.
    idleTimeout: 0,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    routes: {
      "/": route("GET, HEAD", (request) => indexPage(request, server.url.host)),
      // Bun answers these itself: GET and HEAD, with an ETag and 304.
      "/app.css": asset(css, "text/css; charset=utf-8"),
      "/app.js": asset(script, "text/javascript; charset=utf-8"),
      "/logo.svg": asset(logo, "image/svg+xml"),

      "/whoami": route("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", whoami),
      "/healthz": route("GET, HEAD", () => Response.json({ status: "ok" })),

      "/events": route(
        "GET, HEAD",
        ({ method }) =>
          new Response(method === "HEAD" ? null : ticker.stream(), {
            headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" },
          }),
      ),
      "/ws/echo": route("GET", upgradeToEcho),
      "/ws/chat": route("GET", upgradeToChat),

      "/upload": route("POST, PUT", upload),
      "/download": route("GET, HEAD", download),
      "/slow": route("GET", slow),
      "/redirect": route(
        "GET, HEAD, POST",
        () => new Response(null, { status: 302, headers: { Location: "/?redirected" } }),
      ),
      "/cookies": route("GET, HEAD", (request) => cookies(request, "Cookies", [])),
      "/cookies/set": route("GET, HEAD, POST", (request) =>
        cookies(request, "Two cookies set", cookiesToSet(receivedCookies(request.headers))),
      ),
      "/cookies/clear": route("GET, HEAD, POST", (request) =>
        cookies(request, "Both cookies cleared", COOKIES_TO_CLEAR),
      ),
      "/error": route("GET, HEAD, POST", errorPage),
      "/broken": route("GET", broken),
      "/logout": (request: Request) =>
        problem(
          request,
          404,
          "no_gateway",
          "Logging out is Runegate’s business, and it is not in front of this page.",
        ),
    },
    fetch: (request) =>
      problem(request, 404, "not_found", `There is nothing at ${new URL(request.url).pathname}.`),
    websocket: createSocketHandlers(),
    error(error) {
      console.error(`sample application: ${error.message}`);
      return Response.json({ message: "Something went wrong.", error: "internal" }, { status: 500 });
    },
  });

  return {
    url: server.url.origin,
    // Only a server on a Unix socket has none.
    port: server.port ?? port,
    async stop() {
      ticker.stop();
      await server.stop(true);
    },
  };
}

/** Answers other methods with 405 and `Allow`, and turns what a handler finds wrong with a request into a 400. */
function route(methods: string, handler: Handler): Handler {
  const allowed = methods.split(", ");
  return async (request, server) => {
    if (!allowed.includes(request.method)) {
      return problem(request, 405, "method_not_allowed", `${request.method} does nothing here.`, [
        ["Allow", methods],
      ]);
    }
    try {
      return await handler(request, server);
    } catch (error) {
      if (error instanceof ParameterError || error instanceof MultipartError) {
        return problem(request, 400, error.code, error.message);
      }
      throw error;
    }
  };
}

function asset(text: string, type: string): Response {
  return new Response(text, {
    headers: { "Content-Type": type, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff" },
  });
}

function whoami(request: Request): Response {
  const { pathname, search } = new URL(request.url);
  return Response.json(
    {
      method: request.method,
      url: pathname + search,
      headers: [...request.headers],
      identity: identityOf(request.headers),
    },
    { headers: { "Cache-Control": "no-store" } },
  );
}

async function upload(request: Request): Promise<Response> {
  const result = await receiveUpload(request);
  return answer(request, {
    title: "Upload received",
    body: html`<dl class="pairs">
      <div><dt>Name</dt><dd>${result.name ?? "none"}</dd></div>
      <div><dt>Bytes</dt><dd>${result.bytes.toLocaleString("en-US")}</dd></div>
      <div><dt>SHA-256</dt><dd><code>${result.sha256}</code></dd></div>
      <div><dt>Seconds</dt><dd>${result.seconds}</dd></div>
    </dl>`,
    json: result,
  });
}

async function slow(request: Request): Promise<Response> {
  const seconds = parseSeconds("seconds", parameter(new URL(request.url).searchParams, "seconds") ?? "5");
  await wait(seconds * 1000, request.signal);
  return answer(request, {
    title: "Here at last",
    body: html`<p>This page took ${seconds} seconds, as it was asked to.</p>`,
    json: { seconds },
  });
}

/** Resolves after `ms` milliseconds, or when the client has left. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    resolve();
  });
  return promise;
}

function cookies(request: Request, title: string, setCookie: readonly string[]): Response {
  const received = receivedCookies(request.headers);
  return answer(request, {
    title,
    body: html`
      ${
        setCookie.length === 0
          ? html``
          : html`<p>Two <code>Set-Cookie</code> lines came with this page:</p>
      <ul>${setCookie.map((line) => html`<li><code>${line}</code></li>`)}</ul>`
      }
      <h2>Cookies this request brought</h2>
      ${cookieList(received)}
      <p class="actions">
        <a class="button" href="/cookies">See what the next request brings</a>
        <a class="button quiet" href="/cookies/set">Set them</a>
        <a class="button quiet" href="/cookies/clear">Clear them</a>
      </p>`,
    json: { received, set: setCookie },
    headers: setCookie.map((line) => ["Set-Cookie", line] as const),
  });
}

function errorPage(request: Request): Response {
  const query = new URL(request.url).searchParams;
  const status = parseErrorStatus("status", parameter(query, "status") ?? "500");
  return problem(
    request,
    status,
    "as_asked",
    `This is the application’s own error page, with status ${status}.`,
  );
}

/** Promises a page and dies in the middle of it. Whoever passes it on must not make it look complete. */
function broken(): Response {
  const parts = ["<!doctype html><title>Broken</title><p>This page is about to ", "break off in the mid"];
  return new Response(
    new ReadableStream({
      async pull(controller) {
        const part = parts.shift();
        // An error without a value: Bun resets the connection all the same, and prints no stack trace.
        if (part === undefined) return controller.error();
        controller.enqueue(new TextEncoder().encode(part));
        // So that the first part is on its way before the end.
        await Bun.sleep(20);
      },
    }),
    { headers: { "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store" } },
  );
}
