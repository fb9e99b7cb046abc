import { type Gateway, ORIGIN } from "./gateways.ts";
import type { Answer, Span } from "./model.ts";

/** HTTP as the edge in front of the gateways sends it for somebody with a browser. */

export type Browser = { readonly cookies: Map<string, string> };

export const SESSION_COOKIE = "runegate_id";

export type Request = {
  readonly method?: string;
  readonly client: string;
  readonly browser?: Browser;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: object;
};

export type Sent = {
  readonly span: Span;
  readonly gateway: number;
  /** 0: there was no answer. */
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  /** The session cookie that came with it. */
  readonly session: string | undefined;
};

/** Longer than a gateway may take to find out that its store does not answer. */
const PATIENCE_MS = 20_000;
const AFTER_AWAY_MS = 200;

export async function send(gateway: Gateway, path: string, request: Request): Promise<Sent> {
  const { method = "GET", client, browser, headers, json } = request;
  const from = performance.now();
  try {
    const response = await fetch(gateway.url + path, {
      method,
      headers: {
        Host: new URL(ORIGIN).host,
        "X-Forwarded-For": client,
        "X-Forwarded-Proto": "https",
        ...(method === "GET" ? {} : { Origin: ORIGIN }),
        ...(json === undefined ? {} : { "Content-Type": "application/json" }),
        ...(browser === undefined ? {} : { Cookie: cookieLine(browser) }),
        ...headers,
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const text = await response.text();
    const session = keep(response.headers, browser);
    const span = { from, to: performance.now() };
    const { status } = response;
    // Nobody asks again at once.
    if (status === 503) await Bun.sleep(AFTER_AWAY_MS);
    return { span, gateway: gateway.number, status, text, headers: response.headers, session };
  } catch (error) {
    const span = { from, to: performance.now() };
    const text = error instanceof Error ? `${error.name} ${error.message}` : String(error);
    const nothing = { status: 0, headers: new Headers(), session: undefined };
    return { span, gateway: gateway.number, text, ...nothing };
  }
}

export function cookieLine({ cookies }: Browser): string {
  return [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
}

function keep(headers: Headers, browser: Browser | undefined): string | undefined {
  let session: string | undefined;
  for (const line of headers.getSetCookie()) {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (value === "") browser?.cookies.delete(name);
    else browser?.cookies.set(name, value);
    if (name.endsWith(SESSION_COOKIE) && value !== "") session = value;
  }
  return session;
}

/** What an answer is to whoever wanted to be let in. @param isIn whether it lets in. */
export function answerOf({ status }: Sent, isIn: boolean): Answer | undefined {
  if (isIn) return "in";
  if (status === 0) return "none";
  if (status === 503) return "away";
  return status === 401 || status === 302 || status === 303 ? "out" : undefined;
}
