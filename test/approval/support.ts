import { NAVIGATION } from "../login/support.ts";
import type { TestGateway } from "../support/gateway.ts";

/** A browser, as far as Runegate is concerned: it keeps cookies, follows nothing by itself, and sends forms. */
export type Jar = {
  readonly cookies: Map<string, string>;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  post(
    path: string,
    fields: Readonly<Record<string, string>>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Response>;
  /** As a script on a page of ours asks. */
  fetch(path: string): Promise<Record<string, unknown>>;
};

export const TV = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0";
export const PHONE =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";

/** @param session a `Cookie` header that it begins with */
export function createJar(
  { url }: Pick<TestGateway, "url">,
  own: { readonly ip: string; readonly userAgent: string; readonly session?: string },
  origin = url,
): Jar {
  const cookies = new Map<string, string>();
  keep(own.session?.split("; ") ?? []);
  function keep(lines: readonly string[]): void {
    for (const line of lines) {
      const [pair = "", ...attributes] = line.split("; ");
      const at = pair.indexOf("=");
      if (attributes.includes("Max-Age=0")) cookies.delete(pair.slice(0, at));
      else cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
  }
  async function send(path: string, init: RequestInit & { headers: Record<string, string> }) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = {
      "User-Agent": own.userAgent,
      "X-Forwarded-For": own.ip,
      Host: new URL(origin).host,
      ...(cookie === "" ? {} : { Cookie: cookie }),
      ...init.headers,
    };
    const response = await fetch(url + path, { redirect: "manual", ...init, headers });
    keep(response.headers.getSetCookie());
    return response;
  }
  return {
    cookies,
    get: (path, headers = {}) => send(path, { headers: { ...NAVIGATION, ...headers } }),
    post: (path, fields, headers = {}) =>
      send(path, {
        method: "POST",
        headers: { ...NAVIGATION, Origin: origin, ...headers },
        body: new URLSearchParams(fields),
      }),
    fetch: async (path) =>
      (await (
        await send(path, { headers: { "Sec-Fetch-Mode": "cors", Accept: "application/json" } })
      ).json()) as Record<string, unknown>,
  };
}

/** What the page of a screen shows. */
export async function shownBy(screen: Jar) {
  const html = await (await screen.get("/_runegate/phone")).text();
  const heading = /<h1[^>]*>(.*?)<\/h1>/.exec(html)?.[1] ?? "";
  const code = /id="code">([^<]+)</.exec(html)?.[1] ?? "";
  const number = /class="code shown number"[^>]*>(\d\d)</.exec(html)?.[1];
  return { html, heading, code, number };
}

/** The numbers that the page of a phone offers. */
export const numbersIn = (html: string) =>
  [...html.matchAll(/name="number" value="(\d\d)"/g)].map(([, number = ""]) => number);
