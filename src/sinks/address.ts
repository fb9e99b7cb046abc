import { isLoopbackHost } from "../net/loopback.ts";
import { quote, ValueError, withoutUserinfo } from "../option/value-error.ts";
import { boundedSize, fileMode, filePath, integer, items, MIB, socketPath } from "../option/values.ts";

/** Where log lines go, as a URL says it. Plain data, since workers are sent it. */
export type SinkAddress = {
  /** As it may be shown: without user, password, and what of an HTTP URL may hold a token. */
  readonly name: string;
  /** As it was written, secrets and all: what tells one sink from another. */
  readonly text: string;
} & (FilePlace | UnixPlace | HostPlace | HttpPlace);

export type FilePlace = {
  readonly kind: "file";
  readonly path: string;
  /** Bytes after which another file is begun. */
  readonly max: number;
  /** Whether one is begun every day (UTC) too. */
  readonly daily: boolean;
  /** How many finished ones are kept. */
  readonly keep: number;
  /** Permission bits. */
  readonly mode: number;
};
type UnixPlace = { readonly kind: "syslog-unix"; readonly path: string };
export type HostPlace = {
  readonly kind: "syslog-udp" | "syslog-tcp" | "syslog-tls";
  /** Without brackets around an IPv6 address. */
  readonly host: string;
  readonly port: number;
};
export type HttpPlace = {
  readonly kind: "otlp" | "ndjson";
  /** Without user, password and fragment. */
  readonly url: string;
  /** `Authorization` of the URL's user and password. */
  readonly basic: string | undefined;
  /** A file with a bearer token, read for each batch, so that it may be replaced. */
  readonly bearerFile: string | undefined;
};

/** Registered ports: RFC 5426 §3.3, RFC 5425 §4.1, and `syslog-conn` of RFC 3195, which is what there is for TCP. */
const SYSLOG_PORTS = { udp: 514, tcp: 601, tls: 6514 } as const;
const MAX_FILE = 2 ** 40;
const FILE_KEYS = ["max", "every", "keep", "mode"];
const KINDS =
  "Write file:/path, syslog:unix:/dev/log, syslog+udp://host, syslog+tcp://host, syslog+tls://host, " +
  "otlp+https://host/v1/logs or https://host/path.";

/** @throws {ValueError} which shows no secret. */
export function sinkAddress(text: string): SinkAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw new ValueError(`is not the URL of a sink: ${quote(shownSink(text))}`, KINDS);
  const shown = { name: shownSink(text), text };
  switch (url.protocol) {
    case "file:":
      return { ...shown, name: `file:${decoded(url.pathname)}`, ...filePlace(url, text) };
    case "syslog:":
      return { ...shown, ...unixPlace(text) };
    case "syslog+udp:":
    case "syslog+tcp:":
    case "syslog+tls:":
      return { ...shown, ...hostPlace(url) };
    case "otlp+https:":
    case "otlp+http:":
      return { ...shown, ...httpPlace("otlp", text.slice("otlp+".length)) };
    case "https:":
    case "http:":
      return { ...shown, ...httpPlace("ndjson", text) };
    default:
      throw new ValueError(`is not the URL of a sink: ${quote(shownSink(text))}`, KINDS);
  }
}

function filePlace(url: URL, text: string): FilePlace {
  const unknown = [...url.searchParams.keys()].filter((key) => !FILE_KEYS.includes(key));
  if (unknown.length > 0)
    throw new ValueError(
      `(a file) does not know ${quote(unknown.join(", "))}`,
      `It has ${FILE_KEYS.join(", ")}.`,
    );
  const path = filePath(decoded(url.pathname));
  if (url.host !== "" || path.endsWith("/") || !/^file:\//i.test(text))
    throw new ValueError(
      `names no file: ${quote(text)}`,
      "Write file: and a full path, such as file:/var/log/runegate/runegate.log.",
    );
  const every = url.searchParams.get("every") ?? "";
  if (every !== "" && every !== "day")
    throw new ValueError(`(a file) begins anew every ${quote(every)}`, "Write every=day, or leave it out.");
  const given = <T>(key: string, parse: (value: string) => T, otherwise: T) => {
    const value = url.searchParams.get(key);
    return value === null ? otherwise : inQuery(key, () => parse(value));
  };
  return {
    kind: "file",
    path,
    max: given("max", boundedSize(MAX_FILE), 50 * MIB),
    daily: every === "day",
    keep: given("keep", integer(0, 1000), 7),
    mode: given("mode", fileMode, 0o640),
  };
}

/** What is said of a part of the URL names the part. */
function inQuery<T>(key: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new ValueError(`has a ${key} that ${error.problem}`, error.remedy);
  }
}

function unixPlace(text: string): UnixPlace {
  const path = /^syslog:unix:(.+)$/i.exec(text)?.[1];
  if (path === undefined)
    throw new ValueError(`names no socket of a syslog daemon: ${quote(text)}`, "Write syslog:unix:/dev/log.");
  return { kind: "syslog-unix", path: socketPath(path) };
}

function hostPlace(url: URL): HostPlace {
  const way = url.protocol.slice("syslog+".length, -1) as keyof typeof SYSLOG_PORTS;
  const rest = `${url.username}${url.password}${url.pathname.replace(/^\/$/, "")}${url.search}${url.hash}`;
  if (url.hostname === "" || rest !== "")
    throw new ValueError(
      `is not a syslog server: ${quote(shownSink(url.href))}`,
      `Write syslog+${way}://host or syslog+${way}://host:${SYSLOG_PORTS[way]}, and nothing else.`,
    );
  return {
    kind: `syslog-${way}`,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? SYSLOG_PORTS[way] : Number(url.port),
  };
}

function httpPlace(kind: HttpPlace["kind"], text: string): HttpPlace {
  // The scheme, of which `otlp+` has been taken, is another one: the URL is read again.
  const url = new URL(text);
  if (url.protocol === "http:" && !isLoopbackHost(url.hostname))
    throw new ValueError(
      `sends what people do over the network unencrypted: ${quote(shownSink(text))}`,
      "Write https; http is for a collector on this machine.",
    );
  if (kind === "otlp" && url.pathname === "/")
    throw new ValueError(`has no path: ${quote(shownSink(text))}`, "Most collectors take logs at /v1/logs.");
  const own = new URLSearchParams(url.hash.slice(1));
  const unknown = [...own.keys()].filter((key) => key !== "bearer-file");
  const bearerFile = own.get("bearer-file") ?? undefined;
  if (unknown.length > 0 || bearerFile?.startsWith("/") === false)
    throw new ValueError(
      "has something after its # that is not understood",
      "Only #bearer-file= and the full path of a file with a token may be there.",
    );
  const { username, password } = url;
  if (bearerFile !== undefined && username !== "")
    throw new ValueError(
      "has a user and a bearer-file",
      "A request has one Authorization: keep one of them.",
    );
  const credentials = `${decoded(username)}:${decoded(password)}`;
  url.username = url.password = url.hash = "";
  return {
    kind,
    url: url.href,
    basic: username === "" ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`,
    bearerFile: bearerFile === undefined ? undefined : filePath(bearerFile),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ValueError("has a % that begins no escape", "Write %25 for a percent sign.");
  }
}

const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

/**
 * A sink's URL as it may be shown, also one that is mistyped. Of HTTP, scheme and host: the path and the query of many services
 * hold a token.
 */
export function shownSink(text: string): string {
  if (/^(?:file|syslog):/i.test(text)) return withoutUserinfo(text);
  const [, scheme = "", rest = ""] = /^([a-z][a-z\d+.-]*:\/*)(.*)$/is.exec(withoutUserinfo(text)) ?? [];
  const [, host = "", path = ""] = /^(?:…@)?([^/?#]*)(.*)$/s.exec(rest) ?? [];
  if (scheme === "" || !HOST.test(host)) return `${scheme}…`;
  return `${scheme}${host}${path.replace(/^\/$/, "") === "" ? "" : "/…"}`;
}

/** The same of a list. */
export function shownSinks(text: string): string {
  return items(text).map(shownSink).join(",");
}
