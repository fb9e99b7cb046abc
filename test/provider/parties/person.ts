/**
 * Somebody with a browser that shows pages, keeps cookies and sends forms, and runs no script. Unlike the ones in `hand-off/` and
 * `approval/` it goes wherever it is sent: to the relying party, to the provider and back.
 */
export type Person = {
  /** Opens a page as if typed, and follows redirects. */
  open(url: string): Promise<Page>;
  /** Sends a form of a page, with what was typed in place of what stands in it, and follows redirects. */
  send(page: Page, typed?: Readonly<Record<string, string>>, form?: (form: Form) => boolean): Promise<Page>;
  /** One request, with the cookies there are. Redirects are not followed. */
  ask(url: string, init?: RequestInit & { readonly headers?: Record<string, string> }): Promise<Response>;
  /** Up to a URL of which `stop` is true, which is not asked for. */
  until(url: string, stop: (url: URL) => boolean): Promise<string>;
  /** Forgets what a host, whatever its port, has set. */
  forget(hostname: string): void;
};

export type Page = {
  readonly url: string;
  readonly status: number;
  readonly html: string;
  /** All that was asked for on the way. */
  readonly hops: readonly string[];
};

export type Form = {
  readonly action: string;
  readonly method: string;
  readonly fields: Readonly<Record<string, string>>;
};

type Cookie = {
  readonly hostname: string;
  readonly path: string;
  readonly name: string;
  readonly value: string;
};

const MOST_HOPS = 20;

export function createPerson(): Person {
  let cookies: readonly Cookie[] = [];

  function keep(url: URL, lines: readonly string[]): void {
    for (const line of lines) {
      const [pair = "", ...attributes] = line.split(";").map((part) => part.trim());
      const at = pair.indexOf("=");
      const of = (name: string) =>
        attributes.find((one) => one.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1);
      const cookie = {
        hostname: url.hostname,
        path: of("path") ?? "/",
        name: pair.slice(0, at),
        value: pair.slice(at + 1),
      };
      const over = Number(of("max-age") ?? 1) <= 0 || Date.parse(of("expires") ?? "") < Date.now();
      cookies = cookies.filter(
        ({ hostname, path, name }) =>
          hostname !== cookie.hostname || path !== cookie.path || name !== cookie.name,
      );
      if (!over) cookies = [...cookies, cookie];
    }
  }

  const ask: Person["ask"] = async (target, init = {}) => {
    const url = new URL(target);
    const header = cookies
      .filter(({ hostname, path }) => hostname === url.hostname && url.pathname.startsWith(path))
      .map(({ name, value }) => `${name}=${value}`)
      .join("; ");
    const response = await fetch(url, {
      ...init,
      redirect: "manual",
      headers: {
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
        Accept: "text/html",
        ...(header === "" ? {} : { Cookie: header }),
        ...init.headers,
      },
    });
    keep(url, response.headers.getSetCookie());
    return response;
  };

  function nextOf(response: Response, from: string): string | undefined {
    const to =
      response.headers.get("location") ?? response.headers.get("refresh")?.replace(/^\d+; *url=/i, "");
    return to === null || to === undefined ? undefined : new URL(to, from).href;
  }

  async function follow(from: string, first: Promise<Response>): Promise<Page> {
    const hops = [from];
    let response = await first;
    for (let at = from; hops.length <= MOST_HOPS; hops.push(at)) {
      const to = nextOf(response, at);
      if (to === undefined) return { url: at, status: response.status, html: await response.text(), hops };
      at = to;
      response = await ask(at);
    }
    throw new Error(`still redirected after ${hops.join(" → ")}`);
  }

  return {
    ask,
    open: (url) => follow(url, ask(url)),
    async send(page, typed = {}, chosen = () => true) {
      const form = formsOf(page.html).find(chosen);
      if (form === undefined) throw new Error(`no such form on ${page.url} (${page.status}): ${page.html}`);
      const action = new URL(form.action, page.url).href;
      const body = new URLSearchParams({ ...form.fields, ...typed });
      if (form.method !== "post") return follow(`${action}?${body}`, ask(`${action}?${body}`));
      const headers = { Origin: new URL(page.url).origin, Referer: page.url };
      return follow(action, ask(action, { method: "POST", body, headers }));
    },
    async until(url, stop) {
      for (let at = url, hop = 0; hop < MOST_HOPS; hop++) {
        if (stop(new URL(at))) return at;
        const response = await ask(at);
        const to = nextOf(response, at);
        if (to === undefined) throw new Error(`${at}: ${response.status} ${await response.text()}`);
        at = to;
      }
      throw new Error(`still redirected after ${MOST_HOPS} hops from ${url}`);
    },
    forget(hostname) {
      cookies = cookies.filter((one) => one.hostname !== hostname);
    },
  };
}

/** Of a page: what would be sent if nothing was typed. A button with a name counts if it is the first. */
export function formsOf(html: string): Form[] {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(([, head = "", inner = ""]) => {
    const fields: Record<string, string> = {};
    for (const [, tag = "", attributes = ""] of inner.matchAll(/<(input|button)\b([^>]*)>/gi)) {
      const name = attribute(attributes, "name");
      const type = attribute(attributes, "type")?.toLowerCase();
      if (name === undefined || name in fields) continue;
      if ((type === "checkbox" || type === "radio") && !/\bchecked\b/i.test(attributes)) continue;
      fields[name] = attribute(attributes, "value") ?? (tag.toLowerCase() === "button" ? "" : "");
    }
    return {
      action: attribute(head, "action") ?? "",
      method: (attribute(head, "method") ?? "get").toLowerCase(),
      fields,
    };
  });
}

function attribute(attributes: string, name: string): string | undefined {
  const [, quoted, single, bare] =
    new RegExp(`(?:^|\\s)${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, "i").exec(attributes) ?? [];
  const value = quoted ?? single ?? bare;
  return value === undefined ? undefined : unescaped(value);
}

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescaped(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hex, named) => {
    if (named !== undefined) return NAMED[named] ?? whole;
    return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal));
  });
}
