import css from "../../static/sample/app.css" with { type: "text" };
import script from "../../static/sample/app.js" with { type: "text" };
import logo from "../../static/sample/logo.svg" with { type: "text" };
import { duration, integer } from "../option/values.ts";
import { clockStream } from "./clock.ts";
import { answer, cookiesOf, indexPage, pairs, problem, userOf } from "./page.ts";
import { ParameterError, parameter } from "./parameter.ts";
import { createSocketHandlers, type SocketData, upgradeToChat, upgradeToEcho } from "./sockets.ts";
import { download, receiveUpload } from "./transfer.ts";

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

/** Longer than the 600 s after which Runegate stops waiting for a response's head, so that a test can see it do so. */
const SLOWEST_MS = 900_000;

/**
 * Starts the sample application.
 * @param port 0 for any free one.
 * @throws an `Error` with `code` `EADDRINUSE` (or another of the operating system's) if it cannot listen there.
 */
export function startSample({ hostname, port }: { hostname: string; port: number }): Sample {
  const events = { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" };
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
        ({ method }) => new Response(method === "HEAD" ? null : clockStream(), { headers: events }),
      ),
      "/ws/echo": route("GET", upgradeToEcho),
      "/ws/chat": route("GET", upgradeToChat),
      "/upload": route("POST, PUT", upload),
      "/download": route("GET, HEAD", download),
      "/slow": route("GET", slow),
      "/redirect": route("GET, HEAD, POST", () => Response.redirect("/?redirected", 302)),
      "/cookies/set": route("GET, HEAD, POST", ({ headers }) => {
        const before = Number(cookiesOf(headers).find(({ name }) => name === "sample_count")?.value ?? 0);
        return homeWithCookies(["flavor=oatmeal", `count=${before + 1}; Max-Age=86400; HttpOnly`]);
      }),
      "/cookies/clear": route("GET, HEAD, POST", () =>
        homeWithCookies(["flavor=; Max-Age=0", "count=; Max-Age=0"]),
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
    stop: () => server.stop(true),
  };
}

/** Answers other methods with 405 and `Allow`, and turns what a handler finds wrong with a request into a 400. */
function route(methods: string, handler: Handler): Handler {
  const allowed = methods.split(", ");
  return async (request, server) => {
    if (!allowed.includes(request.method)) {
      const refusal = problem(request, 405, "method_not_allowed", `${request.method} does nothing here.`);
      refusal.headers.set("Allow", methods);
      return refusal;
    }
    try {
      return await handler(request, server);
    } catch (error) {
      if (error instanceof ParameterError) return problem(request, 400, "invalid_parameter", error.message);
      throw error;
    }
  };
}

function asset(text: string, type: string): Response {
  return new Response(text, {
    headers: { "Content-Type": type, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff" },
  });
}

function whoami({ url, method, headers }: Request): Response {
  const { pathname, search } = new URL(url);
  const identity = {
    authenticated: headers.get("x-runegate-authenticated") === "true",
    user: userOf(headers),
  };
  const body = { method, url: pathname + search, headers: [...headers], identity };
  return Response.json(body, { headers: { "Cache-Control": "no-store" } });
}

async function upload(request: Request): Promise<Response> {
  const result = await receiveUpload(request);
  const shown = pairs([
    { name: "Name", value: result.name ?? "none" },
    { name: "Bytes", value: result.bytes.toLocaleString("en-US") },
    { name: "SHA-256", value: result.sha256 },
    { name: "Seconds", value: String(result.seconds) },
  ]);
  return answer(request, "Upload received", shown, result);
}

async function slow(request: Request): Promise<Response> {
  const ms = parameter(request, "seconds", "5", duration("s", 0, SLOWEST_MS));
  const { promise: left, resolve: leave } = Promise.withResolvers<void>();
  request.signal.addEventListener("abort", () => leave());
  await Promise.race([Bun.sleep(ms), left]);
  return answer(request, "Here at last", `This page took ${ms / 1000} seconds, as it was asked to.`, { ms });
}

function homeWithCookies(lines: readonly string[]): Response {
  const response = Response.redirect("/#cookies-title", 302);
  for (const line of lines) response.headers.append("Set-Cookie", `sample_${line}; Path=/; SameSite=Lax`);
  return response;
}

function errorPage(request: Request): Response {
  const status = parameter(request, "status", "500", integer(400, 599));
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
  const body = new ReadableStream({
    async pull(controller) {
      const part = parts.shift();
      // An error without a value: Bun resets the connection all the same, and prints no stack trace.
      if (part === undefined) return controller.error();
      controller.enqueue(new TextEncoder().encode(part));
      // So that the first part is on its way before the end.
      await Bun.sleep(20);
    },
  });
  return new Response(body, {
    headers: { "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store" },
  });
}
