import { isAbsolute, normalize } from "node:path";
import { quote, ValueError, withoutUserinfo } from "../option/value-error.ts";

export type StoreLocation =
  | { readonly kind: "memory" }
  /** `path` is absolute, or relative to the working directory. */
  | { readonly kind: "sqlite"; readonly path: string }
  /** `url` as given, with what it takes to sign in: never to be shown. `shown` may be. */
  | { readonly kind: "valkey"; readonly url: string; readonly shown: string };

/** `RUNEGATE_STORE`: where state is kept. No error here repeats what a URL says of user and password. */

const REMEDY =
  "Write memory, sqlite:/var/lib/runegate/runegate.db, or valkey://user:password@host:6379/0 (valkeys:// for TLS).";

export function storeLocation(text: string): StoreLocation {
  if (text === "memory") return { kind: "memory" };
  if (text.startsWith("sqlite:")) return sqliteLocation(text.slice("sqlite:".length));
  const scheme = /^(valkeys?|rediss?):\/\//.exec(text)?.[1];
  if (scheme === undefined) throw new ValueError(`is not a store${shownIfNoUrl(text)}`, REMEDY);
  return valkeyLocation(text, scheme.endsWith("s") && scheme !== "redis");
}

function sqliteLocation(path: string): StoreLocation {
  // `sqlite://host/…` would be read as a path by chance, and an empty path or `:memory:` keeps nothing.
  if (path === "" || path.startsWith("//") || path.startsWith(":") || /[\0-\x1f?#]/.test(path)) {
    throw new ValueError(`names no database file: ${quote(path)}`, REMEDY);
  }
  return { kind: "sqlite", path: isAbsolute(path) ? normalize(path) : path };
}

function valkeyLocation(text: string, tls: boolean): StoreLocation {
  let url: URL;
  try {
    // A scheme the URL standard knows nothing of has no default port and no canonical host: this one has.
    url = new URL(text.replace(/^[a-z]+:/, "https:"));
  } catch {
    throw new ValueError("is a URL that cannot be read", REMEDY);
  }
  const database = /^\/?(\d{0,5})$/.exec(url.pathname)?.[1];
  if (url.hostname === "" || database === undefined || url.search !== "" || url.hash !== "") {
    throw new ValueError("has more than user, password, host, port and database number in its URL", REMEDY);
  }
  // `:443` is what `https:` leaves out.
  const port = url.port || (/:443(\/|$)/.test(text) ? "443" : "6379");
  const scheme = tls ? "rediss" : "redis";
  const userinfo = url.username || url.password ? `${url.username}:${url.password}@` : "";
  const place = `${url.hostname}:${port}/${Number(database)}`;
  return {
    kind: "valkey",
    url: `${scheme}://${userinfo}${place}`,
    shown: `${tls ? "valkeys" : "valkey"}://${place}`,
  };
}

/** What is no URL may be shown, cut short; what might be one may hold a password. */
function shownIfNoUrl(text: string): string {
  return /[/@:]/.test(text) ? "" : `: ${quote(withoutUserinfo(text))}`;
}
