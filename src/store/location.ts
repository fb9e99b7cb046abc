import { isAbsolute, normalize } from "node:path";
import { isLoopbackHost } from "../net/loopback.ts";
import { quote, ValueError, withoutUserinfo } from "../option/value-error.ts";

export type StoreLocation =
  | { readonly kind: "memory" }
  /** `path` is absolute, or relative to the working directory. */
  | { readonly kind: "sqlite"; readonly path: string }
  /** `url` as given, with what it takes to sign in: never to be shown. `shown` may be. */
  | { readonly kind: "valkey"; readonly url: string; readonly shown: string }
  | { readonly kind: "postgres"; readonly place: PostgresPlace; readonly shown: string };

/** Where a PostgreSQL database is, and how to sign in: never to be shown, but for `server`. */
export type PostgresPlace = {
  readonly server: string;
  /** A host name or address, or the folder of a unix socket. */
  readonly hostname: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly database: string;
  readonly tls: "disable" | "require" | "verify-full";
  /** File of certificates to trust in place of the system's. */
  readonly rootCertificate: string | undefined;
  /** False behind a PgBouncer that hands a connection to one client after the other. */
  readonly prepare: boolean;
};

/** What is ours in a PostgreSQL database. */
export const DEFAULT_SCHEMA = "runegate";

/** `RUNEGATE_STORE`: where state is kept. No error here repeats what a URL says of user and password. */

const REMEDY =
  "Write memory, sqlite:/var/lib/runegate/runegate.db, valkey://user:password@host:6379/0 (valkeys:// for TLS), or " +
  "postgres://user:password@host:5432/database.";

export function storeLocation(text: string): StoreLocation {
  if (text === "memory") return { kind: "memory" };
  if (text.startsWith("sqlite:")) return sqliteLocation(text.slice("sqlite:".length));
  if (/^postgres(ql)?:\/\//.test(text)) return postgresLocation(text);
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

const TLS_MODES = ["disable", "require", "verify-full"] as const;

/** As libpq reads it (PostgreSQL, 34.1.1.2), of its parameters those that are of use here. */
function postgresLocation(text: string): StoreLocation {
  let url: URL;
  try {
    // The host may be left out for a socket, which no other scheme allows.
    url = new URL(
      text.replace(/^[a-z]+:\/\/(?=[/?]|[^/?]*@[/?])/, "$&localhost").replace(/^[a-z]+:/, "https:"),
    );
  } catch {
    throw new ValueError("is a URL that cannot be read", REMEDY);
  }
  const parameters = new Map(url.searchParams);
  const take = (name: string) => {
    const value = parameters.get(name);
    parameters.delete(name);
    return value;
  };
  const [socket, mode, rootCertificate, prepare] = ["host", "sslmode", "sslrootcert", "prepare"].map(take);
  const database = /^\/([^/]+)$/.exec(decoded(url.pathname))?.[1];
  if (database === undefined) throw new ValueError("names no database in its URL", REMEDY);
  if (url.hash !== "" || parameters.size > 0) {
    throw new ValueError(
      "has something else than user, password, host, port, database, host, sslmode, sslrootcert and prepare in its URL",
      REMEDY,
    );
  }
  if (socket !== undefined && !isAbsolute(socket))
    throw new ValueError("has a `host` that is no folder of a socket", REMEDY);
  if (rootCertificate !== undefined && !isAbsolute(rootCertificate))
    throw new ValueError("has an `sslrootcert` that is no absolute path", REMEDY);
  if (prepare !== undefined && prepare !== "true" && prepare !== "false")
    throw new ValueError("has a `prepare` that is neither true nor false", REMEDY);
  const tls = TLS_MODES.find((one) => one === mode);
  if (mode !== undefined && tls === undefined)
    throw new ValueError(`has an sslmode that is none of ${TLS_MODES.join(", ")}`, REMEDY);
  const hostname = socket ?? url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || (/:443(?:[/?]|$)/.test(text) ? "443" : "5432"));
  const isHere = socket !== undefined || isLoopbackHost(hostname);
  const server = socket === undefined ? `${url.hostname}:${port}` : `${socket}:${port}`;
  return {
    kind: "postgres",
    shown: `postgres://${server}/${database}`,
    place: {
      ...{ server, hostname, port, database, rootCertificate },
      username: decoded(url.username) || "runegate",
      password: decoded(url.password),
      tls: tls ?? (isHere && rootCertificate === undefined ? "disable" : "verify-full"),
      prepare: prepare !== "false",
    },
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ValueError("is a URL that cannot be read", REMEDY);
  }
}

/** What is no URL may be shown, cut short; what might be one may hold a password. */
function shownIfNoUrl(text: string): string {
  return /[/@:]/.test(text) ? "" : `: ${quote(withoutUserinfo(text))}`;
}
