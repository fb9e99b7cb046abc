import type { Fetch } from "../../src/bearer/provider-keys.ts";
import type { Clock } from "../../src/clock.ts";
import { makeCertificate } from "../support/certificate.ts";

/**
 * Turnstile and hCaptcha, as their documentation describes them (developers.cloudflare.com/turnstile, docs.hcaptcha.com): names,
 * parameters, answers, error codes and test keys. One server is all their hosts, by HTTPS.
 */

export type Provider = {
  readonly kind: "turnstile" | "hcaptcha";
  /** Of the server that verifies answers. */
  readonly host: string;
  readonly siteKey: string;
  readonly secret: string;
  readonly field: string;
  /** How long an answer is good, and what is said of one that no longer is, or that was shown before. */
  readonly lifeMs: number;
  readonly expired: string;
  readonly spent: string;
  /** Test keys: the secret, what is sent, and what comes of it. */
  readonly dummies: readonly (readonly [secret: string, token: string, outcome: string])[];
};

export const TURNSTILE: Provider = {
  kind: "turnstile",
  host: "challenges.cloudflare.com",
  siteKey: "0x4AAAAAAA-own-site-key",
  secret: "0x4AAAAAAA-own-secret",
  field: "cf-turnstile-response",
  lifeMs: 300_000,
  expired: "timeout-or-duplicate",
  spent: "timeout-or-duplicate",
  dummies: [
    ["1x0000000000000000000000000000000AA", "XXXX.DUMMY.TOKEN.XXXX", "passes"],
    ["2x0000000000000000000000000000000AA", "XXXX.DUMMY.TOKEN.XXXX", "invalid-input-response"],
    ["3x0000000000000000000000000000000AA", "XXXX.DUMMY.TOKEN.XXXX", "timeout-or-duplicate"],
  ],
};

export const HCAPTCHA: Provider = {
  kind: "hcaptcha",
  host: "api.hcaptcha.com",
  siteKey: "a5f74b19-9e45-40e0-b45d-47ff91b7a6c2",
  secret: "ES_own-secret",
  field: "h-captcha-response",
  lifeMs: 120_000,
  expired: "expired-input-response",
  spent: "already-seen-response",
  dummies: [
    ["0x0000000000000000000000000000000000000000", "10000000-aaaa-bbbb-cccc-000000000001", "passes"],
    ["0x0000000000000000000000000000000000000000", "anything else", "not-using-dummy-passcode"],
  ],
};

export const BOTH = [TURNSTILE, HCAPTCHA] as const;

type Issued = {
  readonly provider: Provider;
  readonly siteKey: string;
  readonly hostname: string;
  readonly action: string;
  readonly at: number;
  isUsed: boolean;
};

type Response200 = Readonly<Record<string, unknown>>;

export type StandIns = {
  readonly port: number;
  /** What Runegate is to ask them by: the same URLs, of a server on this machine. */
  readonly fetch: Fetch;
  /** What they were sent for verification, newest last. */
  readonly asked: readonly URLSearchParams[];
  /** As their widget gives it to a visitor who has passed. */
  issue(provider: Provider, facts?: Partial<Pick<Issued, "siteKey" | "hostname" | "action">>): string;
  /** Answers in place of them, until undefined. */
  instead: ((request: Request) => Response | Promise<Response>) | undefined;
  stop(): void;
};

const NAMES = [
  "challenges.cloudflare.com",
  ...["js.hcaptcha.com", "api.hcaptcha.com", "newassets.hcaptcha.com", "hcaptcha.com"],
];

export function httpsPortsOf({ port }: Pick<StandIns, "port">): Record<string, number> {
  return Object.fromEntries(NAMES.map((name) => [name, port]));
}

export function startStandIns(clock: Pick<Clock, "now">): StandIns {
  const issued = new Map<string, Issued>();
  const asked: URLSearchParams[] = [];
  let count = 0;

  function issue(provider: Provider, facts: Parameters<StandIns["issue"]>[1] = {}): string {
    const token = `${provider.kind}.${++count}.${"x".repeat(200)}`;
    const usual = { siteKey: provider.siteKey, hostname: "127.0.0.1", action: "sign_in" };
    issued.set(token, { provider, ...usual, ...facts, at: clock.now(), isUsed: false });
    return token;
  }

  const refused = (...codes: string[]): Response200 => ({ success: false, "error-codes": codes });

  function verdict(provider: Provider, sent: URLSearchParams): Response200 {
    const [secret, response, siteKey] = ["secret", "response", "sitekey"].map((name) => sent.get(name) ?? "");
    const at = new Date(clock.now()).toISOString();
    const passes = (hostname: string, action: string): Response200 => ({
      ...{ success: true, challenge_ts: at, hostname },
      ...(provider.kind === "turnstile" ? { "error-codes": [], action, cdata: "" } : {}),
    });
    if (!secret) return refused("missing-input-secret");
    if (!response) return refused("missing-input-response");
    const dummies = provider.dummies.filter(([one]) => one === secret);
    if (dummies.length > 0) {
      const outcome = (dummies.find(([, token]) => token === response) ?? dummies.at(-1))?.[2] ?? "";
      return outcome === "passes" ? passes("localhost", "test") : refused(outcome);
    }
    if (secret !== provider.secret) return refused("invalid-input-secret");
    const known = issued.get(response);
    if (known?.provider !== provider) return refused("invalid-input-response");
    if (siteKey !== "" && siteKey !== known.siteKey) return refused("sitekey-secret-mismatch");
    if (known.isUsed) return refused(provider.spent);
    if (clock.now() >= known.at + provider.lifeMs) return refused(provider.expired);
    known.isUsed = true;
    return passes(known.hostname, known.action);
  }

  const typed = (type: string, body: string) =>
    new Response(body, { headers: { "Content-Type": `${type}; charset=utf-8` } });

  async function answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const verifies = BOTH.find(({ host }) => request.headers.get("host") === host);
    if (request.method === "POST" && url.pathname.endsWith("/siteverify") && verifies !== undefined) {
      const sent = new URLSearchParams(await request.text());
      asked.push(sent);
      return stand.instead?.(request) ?? Response.json(verdict(verifies, sent));
    }
    switch (url.pathname) {
      case "/turnstile/v0/api.js":
        return typed("text/javascript", TURNSTILE_SCRIPT);
      case "/1/api.js":
        return typed("text/javascript", HCAPTCHA_SCRIPT);
      case "/frame": {
        const [kind, siteKey = "", hostname = "", action = ""] = ["kind", "sitekey", "host", "action"].map(
          (name) => url.searchParams.get(name) ?? "",
        );
        const provider = BOTH.find((one) => one.kind === kind);
        if (provider === undefined) break;
        const token = issue(provider, { siteKey, hostname, action });
        return typed(
          "text/html",
          `<!doctype html><html lang="en"><title>Widget</title><p>Success!</p><script>parent.postMessage(${JSON.stringify(token)}, "*")</script></html>`,
        );
      }
      case "/box.css":
        return typed("text/css", ".h-captcha iframe { border-width: 3px }");
      // Where the services themselves would say nothing.
      case "/elsewhere":
        return Response.json({ success: true, hostname: "127.0.0.1", action: "sign_in" });
      case "/checksiteconfig":
        return Response.json({ pass: true }, { headers: { "Access-Control-Allow-Origin": "*" } });
    }
    return new Response("no such thing", { status: 404 });
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: makeCertificate({ names: NAMES }),
    fetch: answer,
  });
  const stand: StandIns = {
    port: server.port ?? 0,
    fetch: (url, init) => {
      const { host, pathname, protocol } = new URL(url);
      if (protocol !== "https:") throw new Error(`not by HTTPS: ${url}`);
      const headers = new Headers(init.headers);
      headers.set("Host", host);
      return fetch(`https://127.0.0.1:${server.port}${pathname}`, {
        ...init,
        headers,
        tls: { rejectUnauthorized: false },
      });
    },
    asked,
    issue,
    instead: undefined,
    stop: () => server.stop(true),
  };
  return stand;
}

/** How both put a frame of theirs into the page, and the answer into the form. */
const FRAME = `
function show(box, kind, origin, field) {
  const frame = document.createElement("iframe");
  frame.title = "Widget of a service that tells people from robots";
  frame.width = box.dataset.size === "compact" ? 164 : Math.min(300, box.clientWidth);
  frame.height = 65;
  const query = new URLSearchParams({
    kind, sitekey: box.dataset.sitekey, host: location.hostname, action: box.dataset.action ?? "",
  });
  frame.src = origin + "/frame?" + query;
  addEventListener("message", ({ data, origin: from }) => {
    if (from === origin) { field.value = data; document.documentElement.dataset.passed = kind; }
  });
  box.append(frame, field);
}`;

const TURNSTILE_SCRIPT = `${FRAME}
for (const box of document.querySelectorAll(".cf-turnstile")) {
  const field = document.createElement("input");
  field.type = "hidden";
  field.name = "cf-turnstile-response";
  show(box, "turnstile", "https://challenges.cloudflare.com", field);
}`;

const HCAPTCHA_SCRIPT = `${FRAME}
const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = "https://newassets.hcaptcha.com/box.css";
document.head.append(sheet);
for (const box of document.querySelectorAll(".h-captcha")) {
  const field = document.createElement("textarea");
  field.name = "h-captcha-response";
  field.hidden = true;
  fetch("https://api.hcaptcha.com/checksiteconfig").then((response) => response.json()).then(({ pass }) => {
    if (pass) show(box, "hcaptcha", "https://newassets.hcaptcha.com", field);
  });
}`;
