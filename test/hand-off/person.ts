import { NAVIGATION } from "../login/support.ts";
import type { TestGateway } from "../support/gateway.ts";

/**
 * Somebody with a browser in front of a gateway of several hosts: keeps cookies as browsers do, each for its host, and follows
 * redirects one at a time.
 */
export type Person = {
  /** Cookies by host, then name. */
  readonly jar: Map<string, Map<string, string>>;
  /** Asks for one URL and keeps the cookies of the answer. */
  get(url: string, more?: Visit): Promise<Response>;
  /** From `url` on, to where no redirect follows. */
  follow(url: string, more?: Visit): Promise<Visited>;
  /** From `url` on, up to a URL of which `stop` is true, which is not asked for. */
  until(url: string, stop: (url: URL) => boolean): Promise<string>;
  /** The whole way by mail, from the login page that `url` leads to. @returns where it ends */
  signIn(url: string, email?: string): Promise<Visited>;
  cookie(host: string, name: string): string | undefined;
};

export type Visit = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly keepsCookies?: false;
};

export type Visited = { readonly response: Response; readonly url: string; readonly hops: readonly string[] };

const MOST_HOPS = 12;

/** @param gateways the one that answers, at the time of asking: it may be another after a restart. */
export function personAt(gateway: () => TestGateway): Person {
  const jar: Person["jar"] = new Map();

  async function get(url: string, more: Visit = {}): Promise<Response> {
    const { host, pathname, search, origin } = new URL(url);
    const own = jar.get(host) ?? new Map<string, string>();
    const cookies = [...own].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(gateway().url + pathname + search, {
      method: more.method ?? "GET",
      redirect: "manual",
      ...(more.body === undefined ? {} : { body: more.body }),
      headers: {
        ...NAVIGATION,
        Host: host,
        ...(cookies === "" ? {} : { Cookie: cookies }),
        ...(more.method === "POST" ? { Origin: origin } : {}),
        ...more.headers,
      },
    });
    if (more.keepsCookies === false) return response;
    jar.set(host, own);
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/; Max-Age=0(?:;|$)/.test(line)) own.delete(name);
      else own.set(name, value);
    }
    return response;
  }

  function next(response: Response, url: string): string | undefined {
    const location = response.headers.get("location") ?? response.headers.get("refresh")?.split("url=")[1];
    return location === null || location === undefined ? undefined : new URL(location, url).href;
  }

  async function until(url: string, stop: (url: URL) => boolean): Promise<string> {
    for (let at = url, hop = 0; hop < MOST_HOPS; hop++) {
      if (stop(new URL(at))) return at;
      const response = await get(at);
      const to = next(response, at);
      if (to === undefined) throw new Error(`${at}: ${response.status} ${await response.text()}`);
      at = to;
    }
    throw new Error(`still redirected after ${MOST_HOPS} hops from ${url}`);
  }

  async function follow(url: string, more: Visit = {}): Promise<Visited> {
    const hops: string[] = [];
    for (let at = url; hops.length < MOST_HOPS; ) {
      hops.push(at);
      const response = await get(at, hops.length === 1 ? more : { headers: more.headers ?? {} });
      const to = next(response, at);
      if (to === undefined) return { response, url: at, hops };
      at = to;
    }
    throw new Error(`still redirected after ${hops.join(" → ")}`);
  }

  async function signIn(url: string, email = "ada@example.org"): Promise<Visited> {
    const page = await follow(url);
    const wanted = /name="next" value="([^"]*)"/.exec(await page.response.text())?.[1] ?? "";
    const { gateway: running, mailbox } = gateway();
    const before = new Set(mailbox.mails());
    const asked = await get(new URL("/_runegate/login", page.url).href, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ email, next: unescaped(wanted) }).toString(),
    });
    if (asked.status !== 303) throw new Error(`asking for a link: ${asked.status} ${await asked.text()}`);
    await running.outbox.runDue();
    const mail = mailbox.mails().find((one) => one.to === email && !before.has(one));
    if (mail?.link === undefined) throw new Error(`no mail for ${email}`);
    return follow(mail.link);
  }

  return { jar, get, follow, until, signIn, cookie: (host, name) => jar.get(host)?.get(name) };
}

/** What templates escape. */
function unescaped(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
}
