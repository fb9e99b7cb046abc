import type { Route } from "../access/route.ts";
import { setCookieName } from "../edge/cookies.ts";
import { cutTarget, isBelow } from "../edge/target.ts";
import { groupsText, nameOf, type Principal } from "../identity/principal.ts";

/** What a route changes in the headers of what it passes on: its own headers, and paths where it takes a prefix off. */
export type Rewriting = {
  /** @param principal undefined where it is open to whoever comes. */
  request(headers: Headers, principal: Principal | undefined): void;
  /** @param origin the public one. */
  response(headers: Headers, origin: string): void;
};

/** @returns undefined for a route that changes nothing. */
export function createRewriting(route: Route): Rewriting | undefined {
  const { setHeaders, removeHeaders, setResponseHeaders, removeResponseHeaders } = route;
  const prefix = route.path === "/" ? undefined : route.path;
  const counts = [setHeaders.size, removeHeaders.size, setResponseHeaders.size, removeResponseHeaders.size];
  if (route.host === undefined && prefix === undefined && counts.every((count) => count === 0))
    return undefined;
  const targetOrigins = route.targets.flatMap(({ address }) =>
    address.kind === "tcp" ? address.origin : [],
  );
  const targetHosts = route.targets.flatMap(({ address }) =>
    address.kind === "tcp" ? address.hostname : [],
  );
  const basePaths = route.targets.map(({ basePath }) => basePath).filter((base) => base !== "");

  /** A path of the application's, as browsers have to ask for it. */
  function outside(path: string): string {
    const base = basePaths.find((one) => isBelow(cutTarget(path, 0).path, one));
    // Two slashes at its beginning would lead to another host.
    const inner = base === undefined ? path : path.slice(base.length).replace(/^[/\\]+/, "/");
    if (!route.stripPath || prefix === undefined || isBelow(cutTarget(inner, 0).path, prefix))
      return inner === "" ? "/" : inner;
    return prefix + (inner.startsWith("/") ? inner : `/${inner}`);
  }

  /** A redirect, or the place of something new (RFC 9110 §10.2.2). Undefined for what leads elsewhere, or is relative. */
  function place(location: string, origin: string): string | undefined {
    if (location.startsWith("/") && !location.startsWith("//")) return outside(location);
    const [, asked, path = ""] = /^(https?:\/\/[^/?#\\]*)([^\\]*)$/i.exec(location) ?? [];
    if (asked === undefined) return undefined;
    const of = URL.parse(asked)?.origin;
    if (of === undefined || (of !== origin && !targetOrigins.includes(of))) return undefined;
    return origin + outside(path.startsWith("/") ? path : `/${path}`);
  }

  return {
    request(headers, principal) {
      for (const name of removeHeaders) headers.delete(name);
      for (const [name, text] of setHeaders) {
        const value = fill(text, principal);
        if (value === undefined) headers.delete(name);
        else headers.set(name, value);
      }
      if (prefix !== undefined) headers.set("x-forwarded-prefix", prefix);
    },

    response(headers, origin) {
      for (const name of ["location", "content-location"]) {
        const said = headers.get(name);
        const right = said === null ? undefined : place(said, origin);
        if (right !== undefined && right !== said) headers.set(name, right);
      }
      if (route.stripPath) {
        const lines = headers.getSetCookie();
        if (lines.length > 0) headers.delete("set-cookie");
        for (const line of lines) headers.append("set-cookie", cookieOutside(line, outside, targetHosts));
      }
      for (const name of removeResponseHeaders) headers.delete(name);
      for (const [name, value] of setResponseHeaders) headers.set(name, value);
    },
  };
}

/** `Path` with the prefix, and no `Domain` that is the target's. Without a path, the browser's default is right. */
function cookieOutside(line: string, outside: (path: string) => string, hosts: readonly string[]): string {
  const [pair = "", ...attributes] = line.split(";");
  // Browsers refuse it with any other path than `/` (RFC 6265bis §4.1.3.2).
  const isForWholeHost = /^__host-/i.test(setCookieName(line));
  const kept = attributes.flatMap((attribute) => {
    const [, name = "", value = ""] = /^\s*([^=\s]*)\s*=?\s*(.*?)\s*$/.exec(attribute) ?? [];
    if (name.toLowerCase() === "domain") {
      return hosts.includes(value.toLowerCase().replace(/^\./, "")) ? [] : attribute;
    }
    if (name.toLowerCase() !== "path" || !value.startsWith("/") || isForWholeHost) return attribute;
    const path = outside(value);
    return ` Path=${path.length > 1 ? path.replace(/\/$/, "") : path}`;
  });
  return [pair, ...kept].join(";");
}

/** @returns undefined for a text about somebody where there is nobody. */
function fill(text: string, principal: Principal | undefined): string | undefined {
  if (!text.includes("${")) return text;
  if (principal === undefined) return undefined;
  const facts: Readonly<Record<string, string>> = {
    email: "email" in principal.subject ? principal.subject.email : "",
    user: nameOf(principal),
    groups: groupsText(principal.groups),
  };
  return text.replace(/\$\{(\w+)\}/g, (_, name: string) => facts[name] ?? "");
}
