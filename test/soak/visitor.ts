import type { RestartingApplication } from "./application.ts";
import { DOMAIN, SESSION_COOKIE, type SoakedGateway } from "./gateway.ts";
import { type Ledger, Mishap, Wrong } from "./ledger.ts";
import type { LoginMail, MailServer } from "./mail.ts";

/** What all visitors share. */
export type World = {
  readonly gateway: SoakedGateway;
  readonly application: RestartingApplication;
  readonly mail: MailServer;
  readonly ledger: Ledger;
  /** Event streams and WebSockets that were opened. */
  readonly opened: { streams: number; sockets: number };
};

/** Somebody with a browser, somewhere. */
export type Visitor = {
  readonly world: World;
  readonly email: string;
  /** Their address, as the proxy in front of the gateway tells it. */
  readonly client: string;
  cookies: Map<string, string>;
};

const MAIL_PATIENCE_MS = 15_000;

let visitors = 0;

export function createVisitor(world: World): Visitor {
  const number = ++visitors;
  const client = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
  return { world, email: `visitor-${number}@${DOMAIN}`, client, cookies: new Map() };
}

/** The headers of whatever this visitor sends. */
export function headersOf({ client, cookies }: Visitor): Record<string, string> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  return { "X-Forwarded-For": client, ...(cookie === "" ? {} : { Cookie: cookie }) };
}

function isReset(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ECONNRESET";
}

/**
 * A request as a browser sends it, with the cookies it has and those it gets.
 * @throws {Mishap} if the connection is reset before the answer. @throws {Wrong} if nobody is there.
 */
export async function send(visitor: Visitor, path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(visitor.world.gateway.url + path, {
      ...init,
      headers: { ...headersOf(visitor), ...(init.headers as Record<string, string> | undefined) },
      redirect: "manual",
      decompress: false,
    } as RequestInit);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    const what = `${init.method ?? "GET"} ${path}: ${reasonOf(error)}`;
    // An answer that breaks off before its head is on the way. Not to be reached at all is another matter.
    if (isReset(error)) throw new Mishap("no answer", what);
    throw new Wrong(`no answer from the gateway: ${what}`);
  }
  for (const line of response.headers.getSetCookie()) {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (value === "") visitor.cookies.delete(name);
    else visitor.cookies.set(name, value);
  }
  return response;
}

/** Reads an answer to its end. @throws {Mishap} if that does not come. */
export async function read(response: Response): Promise<Uint8Array> {
  try {
    return await response.bytes();
  } catch (error) {
    throw new Mishap("broken off", reasonOf(error));
  }
}

export async function expectStatus(response: Response, wanted: number, what: string): Promise<void> {
  if (response.status === wanted) return;
  const text = Buffer.from(await read(response)).toString();
  if (response.status === 502) throw new Mishap("502", what);
  throw new Wrong(`${what}: ${response.status} instead of ${wanted}: ${text.slice(0, 300)}`);
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Signs in by one of the ways there are. */
export async function signIn(visitor: Visitor, way: "link" | "click" | "code"): Promise<void> {
  const { mail } = await askForLink(visitor, way);
  const path = mail.link.slice(visitor.world.gateway.url.length);
  if (way === "code") {
    const body = new URLSearchParams({ code: mail.code });
    await expectStatus(await send(visitor, "/_runegate/auth", { method: "POST", body }), 200, "a code");
  } else if (way === "link") {
    const response = await send(visitor, path);
    await expectStatus(response, 302, "a link in the same browser");
    await read(response);
  } else {
    // Another browser: it is asked first.
    visitor.cookies.clear();
    const page = await send(visitor, path, { headers: { Accept: "text/html" } });
    await expectStatus(page, 200, "a link in another browser");
    await read(page);
    const token = new URL(mail.link).searchParams.get("token") ?? "";
    const clicked = await send(visitor, "/_runegate/auth", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    await expectStatus(clicked, 200, "the button after a link");
    await read(clicked);
  }
  if (!visitor.cookies.has(SESSION_COOKIE)) throw new Wrong("no session cookie after signing in");
  visitor.world.ledger.did(`sign in (${way})`);
}

async function askForLink(visitor: Visitor, way: string): Promise<{ readonly mail: LoginMail }> {
  const { email, world } = visitor;
  const coming = world.mail.expect(email, MAIL_PATIENCE_MS);
  // Whoever waits for it gets the error; until then it is nobody's.
  coming.catch(() => {});
  const body = way === "link" ? JSON.stringify({ email }) : new URLSearchParams({ email });
  const headers = way === "link" ? { "Content-Type": "application/json" } : {};
  const asked = await send(visitor, "/_runegate/login", { method: "POST", headers, body });
  await expectStatus(asked, 200, "asking for a link");
  await read(asked);
  return { mail: await coming };
}

export async function expectSignedOut(visitor: Visitor, cookie: string): Promise<void> {
  visitor.cookies.set(SESSION_COOKIE, cookie);
  const response = await send(visitor, "/whoami");
  if (response.status !== 401) throw new Wrong(`a session that was ended still gets ${response.status}`);
  await read(response);
}
