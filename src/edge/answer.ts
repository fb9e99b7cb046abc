import type { Logger } from "../observe/logger.ts";
import { traceOf } from "../observe/message-of.ts";
import { ENGLISH, said, say, type Text } from "../pages/language.ts";
import { errorPage } from "../pages/pages.ts";
import { LOGIN_PATH, OWN_PREFIX, START_PATH } from "../pages/paths.ts";
import { StoreFull, StoreUnavailable } from "../store/records.ts";
import type { Arrival } from "./arrival.ts";
import { isNavigation } from "./navigation.ts";
import { PAGE_POLICY } from "./page-policy.ts";
import { API_PREFIX, isBelow } from "./target.ts";

/** Runegate's own answers: a page for a person, a JSON object for a program. */

/** For everything Runegate says itself; the application's responses never get these. */
const OWN_HEADERS = new Headers([
  ["Cache-Control", "no-store"],
  ["X-Content-Type-Options", "nosniff"],
  // The origin alone: a login link's token is in a URL, and a page's forms need an `Origin` that is not "null".
  ["Referrer-Policy", "strict-origin"],
  ["X-Frame-Options", "DENY"],
  ["Cross-Origin-Opener-Policy", "same-origin"],
  ["Cross-Origin-Resource-Policy", "same-origin"],
]);

export type ExtraHeaders = ReadonlyArray<readonly [string, string]>;

/** Something that went wrong, for whoever asked. `message` says what to do and nothing of the inside. */
export type Failure = {
  readonly status: number;
  /** Stable, for programs. */
  readonly error: string;
  readonly message: Text;
  readonly title: Text;
  readonly headers?: ExtraHeaders;
  readonly action?: { readonly href: string; readonly label: Text };
  /** It will pass, in so many seconds: a page that was asked for by GET offers to try again, and does so by itself. */
  readonly passing?: number;
  /** Further fields of the JSON answer. */
  readonly fields?: Readonly<Record<string, string | number>>;
};

/** Thrown by whoever cannot go on, and answered with its failure. */
export class Refusal extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(say(ENGLISH, failure.message));
    this.failure = failure;
  }
}

export function badRequest(message: Text): Refusal {
  return new Refusal({ status: 400, error: "bad_request", title: NOT_UNDERSTOOD, message });
}

export const NOT_UNDERSTOOD = said("request.title");

/** For somebody who is signed in, and may not use the one application there is. */
export const NOT_ALLOWED: Failure = {
  status: 403,
  error: "not_allowed",
  title: said("notAllowed.title"),
  message: said("notAllowed.message"),
  action: { href: `${OWN_PREFIX}/logout`, label: said("error.signOut") },
};

/** The same where others may be open to them. */
export const NOT_ALLOWED_HERE: Failure = {
  ...NOT_ALLOWED,
  action: { href: START_PATH, label: said("error.open") },
};

export const NOT_FOUND: Failure = {
  status: 404,
  error: "not_found",
  title: said("notFound.title"),
  message: said("notFound.message"),
  action: { href: START_PATH, label: said("error.start") },
};

/** RFC 6750 §3: a challenge about which browsers do not ask their user. */
function keyChallenge(error: string): ExtraHeaders {
  return [["WWW-Authenticate", `Bearer realm="runegate", error="${error}"`]];
}

/** For an API key that is none, or where none opens anything. */
export const INVALID_KEY: Failure = {
  status: 401,
  error: "invalid_key",
  title: said("invalidKey.title"),
  message: said("invalidKey.message"),
  headers: keyChallenge("invalid_token"),
};

export const SEVERAL_KEYS: Failure = {
  status: 400,
  error: "several_keys",
  title: NOT_UNDERSTOOD,
  message: said("severalKeys.message"),
};

export const KEY_SCOPE: Failure = {
  status: 403,
  error: "key_scope",
  title: said("notAllowed.title"),
  message: said("keyScope.message"),
  headers: keyChallenge("insufficient_scope"),
};

/** For {@link Failure.action}, as is the next. */
export const START = { href: START_PATH, label: said("error.start") };

export const SIGN_IN = { href: LOGIN_PATH, label: said("error.signIn") };

/** What somebody who is not signed in is told, with the way to sign in. */
export function unauthenticated(baseUrl: string): Failure {
  return {
    status: 401,
    error: "unauthenticated",
    title: said("notSignedIn.title"),
    // Applications show it to their users as it is.
    message: said("notSignedIn.ended"),
    fields: { login_url: baseUrl + LOGIN_PATH },
    // RFC 9110 §11.6.1 demands a challenge with every 401; this scheme only says where to go.
    headers: [["WWW-Authenticate", `Runegate realm="${baseUrl}"`]],
  };
}

/** An empty reference is the page's own address (RFC 3986 §4.4), query included. */
const TRY_AGAIN = { href: "", label: said("error.tryAgain") };

export function page(html: string, status = 200, extra: ExtraHeaders = [], policy = PAGE_POLICY): Response {
  const vary = "Accept, Accept-Language, Sec-Fetch-Mode, Cookie";
  const [, tag = "en"] = /<html lang="([^"]+)"/.exec(html) ?? [];
  const headers: ExtraHeaders = [
    ["Content-Language", tag],
    ["Content-Security-Policy", policy],
    ["Vary", vary],
    ...extra,
  ];
  return answer(status, html, "text/html; charset=utf-8", headers);
}

export function json(body: object, status = 200, extra: ExtraHeaders = []): Response {
  return jsonText(`${JSON.stringify(body)}\n`, status, extra);
}

/** @param text that is JSON already */
export function jsonText(text: string, status = 200, extra: ExtraHeaders = []): Response {
  return answer(status, text, "application/json; charset=utf-8", extra);
}

export function noContent(): Response {
  return answer(204, null, undefined, []);
}

/** A redirect to a path of this host. Callers pass re-serialized paths only, never what was sent. */
export function redirect(status: 302 | 303 | 308, location: string, extra: ExtraHeaders = []): Response {
  return answer(status, "", undefined, [["Location", location], ...extra]);
}

function answer(
  status: number,
  body: string | null,
  type: string | undefined,
  extra: ExtraHeaders,
): Response {
  const headers = new Headers();
  if (type !== undefined) headers.set("Content-Type", type);
  for (const [name, value] of OWN_HEADERS) headers.set(name, value);
  for (const [name, value] of extra) {
    if (name === "Set-Cookie") headers.append(name, value);
    else headers.set(name, value);
  }
  if (body !== null) headers.set("Content-Length", String(Buffer.byteLength(body)));
  return new Response(body || null, { status, headers });
}

const unremarkable = new WeakSet<Response>();

/** What a page asks for by itself, again and again: its line in the log is for whoever looks for it. */
export function quiet(response: Response): Response {
  unremarkable.add(response);
  return response;
}

export const isQuiet = (response: Response): boolean => unremarkable.has(response);

/** Bytes of an answer's body, for the request line; undefined where nobody counted them. */
export function announcedLength({ headers }: Response): number | undefined {
  const length = headers.get("content-length");
  return length === null ? undefined : Number(length);
}

/** The request as far as it was understood. */
export type Asked = Pick<Arrival, "request" | "id" | "lookOf"> &
  Partial<Pick<Arrival, "target" | "origin" | "headers" | "cookies">>;

export function failure(arrival: Asked, what: Failure): Response {
  const { target } = arrival;
  const isProgram = target !== undefined && isBelow(target.path, API_PREFIX);
  if (isProgram || !isNavigation(arrival.request.headers)) {
    const body = {
      error: what.error,
      message: say(ENGLISH, what.message),
      ...what.fields,
      request_id: arrival.id,
    };
    return json(body, what.status, what.headers);
  }
  const { status, title, message, headers = [] } = what;
  const look = arrival.lookOf(arrival);
  const shown = { status, title, message, requestId: arrival.id };
  if (what.passing === undefined || arrival.request.method !== "GET") {
    return page(errorPage(look, { ...shown, action: what.action }), status, headers);
  }
  const html = errorPage(look, { ...shown, action: TRY_AGAIN, retrySeconds: what.passing });
  // HTML Standard, "the Refresh header": without a URL, it is the page's own.
  return page(html, status, [...headers, ["Refresh", `${what.passing}`]]);
}

/** Whether whoever asks has it already (RFC 9110 §13.1.2). */
export function isCurrent({ headers }: Pick<Arrival, "headers">, etag: string): boolean {
  const known = headers["if-none-match"]?.split(",") ?? [];
  return known.some((tag) => tag.trim().replace(/^W\//, "") === etag);
}

/** What was thrown: a refusal, or what nobody planned for. The visitor gets a number to quote; the log gets the reason. */
export function whenBroken(arrival: Asked, error: unknown, log: Logger): Response {
  if (error instanceof Refusal) return failure(arrival, error.failure);
  if (error instanceof StoreUnavailable) {
    const isFull = error instanceof StoreFull;
    const what = isFull ? "the store takes no more of a kind" : "the store cannot be reached";
    log.error(what, { reason: error.message, id: arrival.id });
    return failure(arrival, {
      status: 503,
      error: error.code,
      title: said("unavailable.title"),
      message: said(isFull ? "unavailable.full" : "unavailable.message"),
      headers: [["Retry-After", "10"]],
    });
  }
  log.error("a request failed", { reason: traceOf(error), id: arrival.id });
  return failure(arrival, {
    status: 500,
    error: "internal",
    title: said("broken.title"),
    message: said("broken.message"),
  });
}
