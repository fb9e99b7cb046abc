/** The cookies a request came with, and the two this application sets. */

export type ReceivedCookie = { readonly name: string; readonly value: string };

/** Every pair of the `Cookie` header, in its order and undecoded, so that what is shown is what arrived. */
export function receivedCookies(headers: Headers): ReceivedCookie[] {
  return (headers.get("cookie") ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      return equals === -1
        ? { name: "", value: pair }
        : { name: pair.slice(0, equals), value: pair.slice(equals + 1) };
    });
}

/** Whether a cookie is the gateway's by its default names, with or without a `__Host-` or `__Secure-` prefix. */
export function isGatewayCookie({ name }: ReceivedCookie): boolean {
  return /^(?:__Host-|__Secure-)?runegate_/i.test(name);
}

const FLAVORS = ["oatmeal", "ginger", "almond", "sesame", "lemon"];

/** Two `Set-Cookie` lines: one for the browser session, one for a day. They count on from what the request brought. */
export function cookiesToSet(received: readonly ReceivedCookie[]): string[] {
  const before = Number(received.find(({ name }) => name === "sample_count")?.value);
  const count = Number.isSafeInteger(before) && before > 0 ? before + 1 : 1;
  return [
    `sample_flavor=${FLAVORS[(count - 1) % FLAVORS.length]}; Path=/; SameSite=Lax`,
    `sample_count=${count}; Path=/; Max-Age=86400; SameSite=Lax; HttpOnly`,
  ];
}

export const COOKIES_TO_CLEAR = [
  "sample_flavor=; Path=/; Max-Age=0; SameSite=Lax",
  "sample_count=; Path=/; Max-Age=0; SameSite=Lax; HttpOnly",
];
