import indexSource from "../../static/sample/index.html" with { type: "text" };
import messageSource from "../../static/sample/message.html" with { type: "text" };
import { concat, type Html, plain, toText } from "../pages/template.ts";

/** What a visitor sees: the one big page, and small ones with a message. Programs get the same as JSON. */

// Bun's types make of every .html import a bundle for its own server; imported as text it is a string.
const INDEX = plain(indexSource as unknown as string, [
  "greeting",
  "name",
  "lead",
  "initial",
  "redirected",
  "identity",
  "listening",
  "cookies",
  "requestLine",
  "headerCount",
  "headers",
]);
const MESSAGE = plain(messageSource as unknown as string, ["title", "body"]);
const PAIR = plain("<div><dt>{{name}}</dt><dd>{{value}}</dd></div>", ["name", "value"]);
const PAIRS = plain('<dl class="pairs">{{pairs}}</dl>', ["pairs"]);
const ABSENT = plain('<span class="absent">{{text}}</span>', ["text"]);
const PARAGRAPH = plain("<p>{{text}}</p>", ["text"]);
const VERDICT = plain('<p class="verdict {{kind}}">{{text}}</p>', ["kind", "text"]);
const ROW = plain(
  '<tr{{#if vouched}} class="vouched"{{/if}}><th scope="row">{{name}}</th><td>{{value}}</td></tr>',
  ["vouched", "name", "value"],
);

/** No inline script or style, nothing from another host, in nobody's frame. */
const PAGE_HEADERS = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
  // It says who is asking: nobody else may get it from a cache.
  "Cache-Control": "no-store",
} as const;

/** Worth believing only because nobody but the gateway can reach this application. */
const IDENTITY_HEADERS = [
  "X-Runegate-Authenticated",
  "X-Runegate-User",
  "X-Forwarded-User",
  "X-Forwarded-Email",
  "Remote-User",
  "Remote-Email",
];

/** Who is asking, as the gateway says it, or null. */
export function userOf(headers: Headers): string | null {
  return headers.get("x-runegate-user");
}

export type Pair = { readonly name: string; readonly value: string };

/** A list of names and values. */
export function pairs(all: readonly Pair[]): Html {
  return PAIRS({ pairs: concat(all.map(PAIR)) });
}

/** The page at `/`: who the gateway says is asking, everything it sent, and things to try. */
export function indexPage(request: Request, listening: string): Response {
  const { headers } = request;
  const user = userOf(headers);
  const url = new URL(request.url);
  const identity = IDENTITY_HEADERS.map((name) => {
    return PAIR({ name, value: headers.get(name) ?? ABSENT({ text: "not sent" }) });
  });
  const isVouched = (name: string) => IDENTITY_HEADERS.some((known) => known.toLowerCase() === name);
  const rows = [...headers].map(([name, value]) =>
    ROW({ name, value, vouched: isVouched(name) ? "yes" : "" }),
  );
  const page = INDEX({
    greeting: user === null ? "Hello, stranger" : "Hello",
    name: user ?? "",
    lead:
      user === null
        ? "No gateway has said who you are. Either you came here directly, or it keeps identity headers to itself."
        : "Runegate checked who you are before you got here, and told this application with every request.",
    initial: [...(user ?? "?")][0]?.toUpperCase() ?? "?",
    redirected: url.searchParams.has("redirected") ? "yes" : "",
    identity: concat(identity),
    listening,
    cookies: cookieList(cookiesOf(headers)),
    requestLine: `${request.method} ${url.pathname}${url.search}`,
    headerCount: String(rows.length),
    headers: concat(rows),
  });
  return new Response(toText(page), { headers: PAGE_HEADERS });
}

/** Every pair of the `Cookie` header, in its order and undecoded, so that what is shown is what arrived. */
export function cookiesOf(headers: Headers): Pair[] {
  const parts = (headers.get("cookie") ?? "").split(";").map((part) => part.trim());
  return parts.filter(Boolean).map((part) => {
    const equals = part.indexOf("=");
    return { name: part.slice(0, Math.max(0, equals)), value: part.slice(equals + 1) };
  });
}

/** The cookies of a request, and whether the gateway kept its own to itself. */
export function cookieList(cookies: readonly Pair[]): Html {
  const leaked = cookies.some(({ name }) => /^(?:__Host-|__Secure-)?runegate_/i.test(name));
  return concat([
    cookies.length === 0
      ? PARAGRAPH({ text: ABSENT({ text: "None came with this request." }) })
      : pairs(cookies),
    leaked
      ? VERDICT({
          kind: "bad",
          text: "One of the gateway’s own cookies came along. It should have been cut out.",
        })
      : VERDICT({ kind: "good", text: "None of the gateway’s own cookies came along, as it should be." }),
  ]);
}

/** A small page for somebody who navigates, JSON for a program: whichever `Accept` asks for. */
export function answer(
  request: Request,
  title: string,
  body: Html | string,
  json: object,
  status = 200,
): Response {
  const asPage = (request.headers.get("accept") ?? "").includes("text/html");
  const shown = typeof body === "string" ? PARAGRAPH({ text: body }) : body;
  const response = asPage
    ? new Response(toText(MESSAGE({ title, body: shown })), { status, headers: PAGE_HEADERS })
    : Response.json(json, { status, headers: { "Cache-Control": "no-store" } });
  response.headers.set("Vary", "Accept");
  return response;
}

/** A failure, as {@link answer}: `{"message", "error"}` where it is JSON. */
export function problem(request: Request, status: number, error: string, message: string): Response {
  return answer(request, String(status), message, { message, error }, status);
}
