import { createHash, createHmac, type KeyObject, sign } from "node:crypto";
import type { Clock } from "../clock.ts";
import { retryAfterOf } from "../net/retry-after.ts";
import { MINUTE, SECOND } from "../option/values.ts";
import { type Authority, ask as askAuthority, directoryIn, plainWords, textOf } from "./authority.ts";

/** A client of an authority that gives certificates to whoever answers for a name over http or in DNS (RFC 8555). */

export type AcmeSettings = Authority & {
  readonly email: string | undefined;
  /** Of an account that the authority wants to know from elsewhere (RFC 8555 §7.3.4). `key` is base64url. */
  readonly binding: { readonly id: string; readonly key: string } | undefined;
  /** ECDSA on P-256. */
  readonly account: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  readonly clock: Clock;
  readonly pause: (milliseconds: number) => Promise<void>;
};

/** What the authority says it cannot do. `type` is the last part of the URN (RFC 8555 §6.7), such as `rateLimited`. */
export class AcmeProblem extends Error {
  readonly type: string;
  /** Milliseconds after which it may be asked again, where it says so. */
  readonly retryAfterMs: number | undefined;
  constructor(type: string, detail: string, retryAfterMs?: number) {
    super(detail === "" ? type : `${type}: ${detail}`);
    this.type = type;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Shows the authority, from `put` until `remove`, an answer that only the account has (RFC 8555 §8.1). */
export type Challenges = {
  readonly type: "http-01" | "dns-01";
  put(token: string, answer: string): Promise<void>;
  remove(token: string, answer: string): Promise<void>;
};

type Problem = {
  readonly type?: string;
  readonly detail?: string;
  readonly subproblems?: readonly Problem[];
};
type Order = {
  readonly status: string;
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate?: string;
  readonly error?: Problem;
};
type Authorization = {
  readonly status: string;
  readonly identifier: { readonly value: string };
  readonly challenges: readonly {
    readonly type: string;
    readonly url: string;
    readonly token: string;
    readonly error?: Problem;
  }[];
};
type Answer<T> = { readonly body: T; readonly location: string; readonly retryAfterMs: number | undefined };

const NONCE_TRIES = 8;
const POLL_MS = 1 * SECOND;
const LONGEST_POLL_MS = 10 * SECOND;
/** However slow the authority is, an order has come to an end after this. */
export const ORDER_MS = 5 * MINUTE;
const WHILE_PENDING: ReadonlySet<string> = new Set(["pending", "processing"]);

/**
 * Gets a certificate.
 * @param name a host, or a wildcard.
 * @param request in DER (RFC 2986), for exactly this name.
 * @param replaces what the authority knows the certificate by that this one takes the place of (RFC 9773 §5).
 * @returns PEM, with the chain
 * @throws {AcmeProblem} and whatever `fetch` throws
 */
export async function orderCertificate(
  settings: AcmeSettings,
  name: string,
  request: Uint8Array,
  challenges: Challenges,
  replaces?: string,
): Promise<string> {
  const { account, clock } = settings;
  const jwk = publicJwk(account.publicKey);
  const thumbprint = createHash("sha256").update(JSON.stringify(jwk)).digest("base64url");
  const late = AbortSignal.timeout(ORDER_MS);
  let nonce: string | undefined;
  let accountUrl: string | undefined;

  async function ask(url: string, init: BunFetchRequestInit = {}): Promise<Response> {
    const response = await askAuthority(settings, url, init, [late]);
    nonce = response.headers.get("replay-nonce") ?? undefined;
    return response;
  }

  const directory = await directoryIn(await ask(settings.directory));

  /** Signed (RFC 8555 §6.2), and once more where only the nonce was too old. */
  async function post<T>(url: string, payload: object | ""): Promise<Answer<T>> {
    for (let tries = 1; ; tries++) {
      if (nonce === undefined) await ask(directory.newNonce, { method: "HEAD" });
      const header = {
        alg: "ES256",
        nonce,
        url,
        ...(accountUrl === undefined ? { jwk } : { kid: accountUrl }),
      };
      const body = JSON.stringify(signed(header, payload, account.privateKey));
      const headers = { "Content-Type": "application/jose+json" };
      const response = await ask(url, { method: "POST", body, headers });
      const said = await textOf(response);
      const retryAfterMs = retryAfterOf(response, clock.now());
      if (response.ok) {
        const isJson = response.headers.get("content-type")?.includes("json") === true;
        const location = response.headers.get("location") ?? "";
        return { body: (isJson ? JSON.parse(said) : said) as T, location, retryAfterMs };
      }
      const problem = problemOf(said, response.status, retryAfterMs);
      if (problem.type !== "badNonce" || tries === NONCE_TRIES) throw problem;
    }
  }

  /** Asks until it is no longer under way. */
  async function settled<T extends { readonly status: string }>(url: string): Promise<T> {
    for (;;) {
      const { body, retryAfterMs } = await post<T>(url, "");
      if (!WHILE_PENDING.has(body.status)) return body;
      await settings.pause(Math.min(Math.max(retryAfterMs ?? 0, POLL_MS), LONGEST_POLL_MS));
    }
  }

  async function prove(url: string): Promise<void> {
    const { body } = await post<Authorization>(url, "");
    if (body.status === "valid") return;
    // Nothing is shown about any other name, whatever the authority asks for.
    if (body.identifier.value !== name.replace(/^\*\./, ""))
      throw new AcmeProblem("unsupported", `${name} is to be proved by another name`);
    const challenge = body.challenges.find(({ type }) => type === challenges.type);
    if (challenge === undefined)
      throw new AcmeProblem("unsupported", `${name} cannot be proved by ${challenges.type}`);
    const { token } = challenge;
    const answer = `${token}.${thumbprint}`;
    try {
      await challenges.put(token, answer);
      await post(challenge.url, {});
      const after = await settled<Authorization>(url);
      if (after.status === "valid") return;
      const why = after.challenges.find(({ error }) => error !== undefined)?.error;
      throw problemFrom(why, `${name} is ${after.status}`);
    } finally {
      await challenges.remove(token, answer);
    }
  }

  /** An authority that knows nothing of the certificate before, or has given its successor already, gives one all the same. */
  async function place(): Promise<Answer<Order>> {
    const identifiers = [{ type: "dns", value: name }];
    if (replaces !== undefined && directory.renewalInfo !== undefined) {
      try {
        return await post<Order>(directory.newOrder, { identifiers, replaces });
      } catch (error) {
        if (!(error instanceof AcmeProblem) || error.type === "rateLimited") throw error;
      }
    }
    return post<Order>(directory.newOrder, { identifiers });
  }

  const registered = await post(directory.newAccount, {
    termsOfServiceAgreed: true,
    ...(settings.email === undefined ? {} : { contact: [`mailto:${settings.email}`] }),
    ...(settings.binding === undefined
      ? {}
      : { externalAccountBinding: bound(settings.binding, directory.newAccount, jwk) }),
  });
  accountUrl = registered.location;
  const placed = await place();
  for (const url of placed.body.authorizations) await prove(url);
  await post(placed.body.finalize, { csr: Buffer.from(request).toString("base64url") });
  const order = await settled<Order>(placed.location);
  if (order.status !== "valid" || order.certificate === undefined)
    throw problemFrom(order.error, `the order is ${order.status}`);
  return (await post<string>(order.certificate, "")).body;
}

const encoded = (value: object | "") =>
  Buffer.from(value === "" ? "" : JSON.stringify(value)).toString("base64url");

function signed(header: object, payload: object | "", key: KeyObject) {
  const [protectedHeader, content] = [encoded(header), encoded(payload)];
  const bytes = Buffer.from(`${protectedHeader}.${content}`);
  const signature = sign("sha256", bytes, { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
  return { protected: protectedHeader, payload: content, signature };
}

function bound({ id, key }: { readonly id: string; readonly key: string }, url: string, jwk: object) {
  const [protectedHeader, content] = [encoded({ alg: "HS256", kid: id, url }), encoded(jwk)];
  const signature = createHmac("sha256", Buffer.from(key, "base64url"))
    .update(`${protectedHeader}.${content}`)
    .digest("base64url");
  return { protected: protectedHeader, payload: content, signature };
}

/** Members in the order that a thumbprint takes them (RFC 7638 §3.2). */
function publicJwk(key: KeyObject) {
  const { crv, x, y } = key.export({ format: "jwk" });
  return { crv, kty: "EC", x, y };
}

function problemOf(said: string, status: number, retryAfterMs: number | undefined): AcmeProblem {
  try {
    return problemFrom(JSON.parse(said) as Problem, `status ${status}`, retryAfterMs);
  } catch {
    return new AcmeProblem("status", String(status), retryAfterMs);
  }
}

function problemFrom(problem: Problem | undefined, otherwise: string, retryAfterMs?: number): AcmeProblem {
  const [first] = problem?.subproblems ?? [];
  const { type = "problem", detail = otherwise } = first ?? problem ?? {};
  return new AcmeProblem(
    type.slice(type.lastIndexOf(":") + 1).slice(0, 60),
    plainWords(detail),
    retryAfterMs,
  );
}
