import indexSource from "../../static/sample/index.html" with { type: "text" };
import messageSource from "../../static/sample/message.html" with { type: "text" };
import { isGatewayCookie, type ReceivedCookie, receivedCookies } from "./cookies.ts";
import { fill, type Html, html } from "./html.ts";
import { identityHeaders, identityOf, isIdentityHeader } from "./identity.ts";

/** What a visitor sees: the one big page, and small ones with a message. Programs get the same as JSON. */

// Bun's types make of every .html import a bundle for its own server; imported as text it is a string.
const INDEX = indexSource as unknown as string;
const MESSAGE = messageSource as unknown as string;

/** No inline script or style, nothing from another host, in nobody's frame. */
export const PAGE_HEADERS = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
  // It says who is asking: nobody else may get it from a cache.
  "Cache-Control": "no-store",
} as const;

const NONE: Html = { html: "" };
const VOUCHED = html` class="vouched"`;

/** The page at `/`: who the gateway says is asking, everything it sent, and things to try. */
export function indexPage(request: Request, listening: string): Response {
  const { user } = identityOf(request.headers);
  const cookies = receivedCookies(request.headers);
  const url = new URL(request.url);
  const page = fill(INDEX, {
    greeting: user === null ? "Hello, stranger" : "Hello",
    name: user === null ? NONE : html`<span class="name">${user}</span>`,
    lead:
      user === null
        ? "No gateway has said who you are. Either you came here directly, or it keeps identity headers to itself."
        : "Runegate checked who you are before you got here, and told this application with every request.",
    initial: [...(user ?? "?")][0]?.toUpperCase() ?? "?",
    notice: url.searchParams.has("redirected")
      ? html`<p class="notice" role="status"><code>/redirect</code> sent you here with a 302.</p>`
      : NONE,
    identity: identityHeaders(request.headers).map(
      ([name, value]) =>
        html`<div><dt>${name}</dt><dd>${value === null ? html`<span class="absent">not sent</span>` : value}</dd></div>`,
    ),
    listening,
    cookies: cookieList(cookies),
    requestLine: `${request.method} ${url.pathname}${url.search}`,
    headerCount: [...request.headers].length,
    headers: [...request.headers].map(
      ([name, value]) =>
        html`<tr${isIdentityHeader(name) ? VOUCHED : NONE}><th scope="row">${name}</th><td>${value}</td></tr>`,
    ),
  });
  return new Response(page, { headers: PAGE_HEADERS });
}

/** The cookies of a request, and whether the gateway kept its own to itself. */
export function cookieList(cookies: readonly ReceivedCookie[]): Html {
  const items = cookies.map(({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`);
  const list =
    items.length === 0
      ? html`<p class="absent">None came with this request.</p>`
      : html`<dl class="pairs">${items}</dl>`;
  const verdict = cookies.some(isGatewayCookie)
    ? html`<p class="verdict bad">One of the gateway’s own cookies came along. It should have been cut out.</p>`
    : html`<p class="verdict good">None of the gateway’s own cookies came along, as it should be.</p>`;
  return html`${list}${verdict}`;
}

type Answer = {
  readonly status?: number;
  readonly title: string;
  readonly body: Html;
  readonly json: object;
  /** More headers; a list, because `Set-Cookie` comes twice. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
};

/** A small page for somebody who navigates, JSON for a program: whichever `Accept` asks for. */
export function answer(
  request: Request,
  { status = 200, title, body, json, headers = [] }: Answer,
): Response {
  const asPage = (request.headers.get("accept") ?? "").includes("text/html");
  const response = asPage
    ? new Response(fill(MESSAGE, { title, body }), { status, headers: PAGE_HEADERS })
    : Response.json(json, { status, headers: { "Cache-Control": "no-store" } });
  response.headers.set("Vary", "Accept");
  for (const [name, value] of headers) response.headers.append(name, value);
  return response;
}

/** A failure, as {@link answer}: `{"message", "error"}` where it is JSON. */
export function problem(
  request: Request,
  status: number,
  error: string,
  message: string,
  headers?: Answer["headers"],
): Response {
  return answer(request, {
    status,
    title: `${status}`,
    body: html`<p>${message}</p>`,
    json: { message, error },
    ...(headers && { headers }),
  });
}
