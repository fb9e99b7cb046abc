import { exchange, type RawResponse } from "../support/raw.ts";

/** How edges ask: the headers that each sets itself, beside those of the visitor, which it passes on. */

export type Visit = {
  readonly method?: string;
  readonly url?: string;
  /** The visitor's own header lines. */
  readonly fields?: readonly string[];
};

const URL_ASKED = "https://app.example.org/private?a=1";

/** nginx, by `X-Original-URL`. */
export function original({ method = "GET", url = URL_ASKED, fields = [] }: Visit): string[] {
  return [
    ...fields,
    `X-Original-URL: ${url}`,
    `X-Original-Method: ${method}`,
    ...forwardedFor(url, "127.0.0.1"),
  ];
}

/** Traefik and others, by four headers. */
export function forwarded({ method = "GET", url = URL_ASKED, fields = [] }: Visit): string[] {
  const [, proto = "", host = "", uri = ""] = /^(\w+):\/\/([^/]*)(.*)$/.exec(url) ?? [];
  return [
    ...fields,
    `X-Forwarded-Method: ${method}`,
    `X-Forwarded-Uri: ${uri}`,
    `X-Forwarded-Host: ${host}`,
    `X-Forwarded-Proto: ${proto}`,
    "X-Forwarded-For: 203.0.113.9",
  ];
}

function forwardedFor(url: string, peer: string): string[] {
  return [`X-Forwarded-Proto: ${url.split(":", 1)[0]}`, `X-Forwarded-For: ${peer}`];
}

export const NAVIGATION = ["Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
export const FETCH = ["Accept: */*", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"];

export type Edge = "nginx" | "challenge" | "traefik" | "caddy" | "haproxy" | "envoy";
export const FULL = ["challenge", "traefik", "caddy", "haproxy", "envoy"] as const;
export const EDGES = ["nginx", ...FULL] as const;

/** Asks as an edge does, from the loopback, which is trusted. */
export function check(port: number, edge: Edge, visit: Visit = {}): Promise<RawResponse> {
  const isOriginal = edge === "nginx" || edge === "challenge";
  const path = edge === "challenge" ? "/_runegate/challenge" : `/_runegate/check/${edge}`;
  const fields = isOriginal ? original(visit) : forwarded(visit);
  const method = edge === "haproxy" ? "HEAD" : "GET";
  return exchange(port, `${method} ${path}`, ["Host: runegate:7870", ...fields]);
}

export function errorOf(response: RawResponse): unknown {
  return (JSON.parse(response.body.toString()) as { error: unknown }).error;
}
