import { lstatSync, mkdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import type { Policy } from "../access/policy.ts";
import { type Address, AddressError, parseAddress } from "../login/address.ts";
import type { LoginService } from "../login/service.ts";
import type { Audit } from "../observe/audit.ts";
import type { Sessions } from "../session/session.ts";
import type { SessionRecord } from "../store/contracts.ts";
import { checkDirectory } from "./directory.ts";

/**
 * What the command line asks of the running instance, over a unix socket that only its own user (and root) can open. It is
 * never on the network, and the file system is its whole access control.
 */

export type ControlSettings = {
  readonly path: string;
  readonly sessions: Sessions;
  readonly login: LoginService;
  readonly policy: Policy;
  readonly landingPath: string;
  readonly audit: Audit;
};

/** As `GET /sessions` lists it. `id` is the start of the store's id: enough to name it, not enough to be it. */
export type ListedSession = {
  readonly id: string;
  readonly email: string;
  readonly created_at: string;
  readonly seen_at: string;
  readonly expires_at: string;
  readonly ip: string;
  readonly user_agent: string;
};

export type RevokeRequest =
  | { readonly all: true }
  | { readonly email: string }
  /** As listed; must name exactly one session. */
  | { readonly id: string };

export const SHORT_ID = 12;

/**
 * Listens until stopped. A socket left behind by a process that was killed is replaced.
 * @throws if another instance answers there, if something else has that name, or if its directory is open to others.
 */
export async function startControl(settings: ControlSettings): Promise<{ stop(): Promise<void> }> {
  const { path, sessions, login, policy, audit } = settings;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  checkDirectory(dirname(path));
  await removeStale(path);
  // So that the socket is never open to others, not even between being made and being closed to them.
  const umask = process.umask(0o177);
  let server: Bun.Server<undefined>;
  try {
    server = Bun.serve({
      unix: path,
      routes: {
        "/sessions": { GET: async () => Response.json((await sessions.list()).map(listed)) },
        "/revoke": { POST: async (request) => revoke((await request.json()) as RevokeRequest) },
        "/link": { POST: async (request) => link((await request.json()) as { email: string }) },
      },
      error: (error) => Response.json({ error: "failed", message: error.message }, { status: 500 }),
    });
  } finally {
    process.umask(umask);
  }
  const { ino } = lstatSync(path);

  function link({ email }: { email: string }): Promise<Response> {
    return withAddress(email, async (address) => {
      if (!policy.allows(address)) return problem(403, `${address} may not sign in to the running instance.`);
      return Response.json({ link: await login.mintLink(address, settings.landingPath) });
    });
  }

  async function revoke(request: RevokeRequest): Promise<Response> {
    if ("email" in request) {
      return withAddress(request.email, async (address) =>
        revoked(await end((await sessions.list()).filter(({ email }) => email === address))),
      );
    }
    const all = await sessions.list();
    if ("all" in request) return revoked(await end(all));
    if (request.id === "") return problem(400, "Say which session.");
    const named = all.filter(({ id }) => id.startsWith(request.id));
    if (named.length > 1) return problem(400, "That beginning names several sessions: give more of it.");
    return revoked(await end(named));
  }

  async function end(records: readonly SessionRecord[]): Promise<number> {
    for (const { id, email } of records) {
      await sessions.end(id);
      audit({ event: "session_revoked", email, session: id, by: "operator" });
    }
    return records.length;
  }

  return {
    async stop() {
      const there = lstatSync(path, { throwIfNoEntry: false });
      // Stopping also removes whatever has the socket's name, and somebody may have put something else there.
      if (there?.isSocket() && there.ino === ino) await server.stop(true);
      else server.unref();
    },
  };
}

async function removeStale(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  // Only ever a socket is removed: a mistyped option must not cost anybody a file.
  if (!there.isSocket()) throw new Error("something that is no socket has that name");
  if (await answers(path)) throw new Error("another instance listens on it");
  rmSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const settle = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}

async function withAddress(email: string, then: (address: Address) => Promise<Response>): Promise<Response> {
  let address: Address;
  try {
    address = parseAddress(email);
  } catch (error) {
    if (error instanceof AddressError) return problem(400, error.message);
    throw error;
  }
  return then(address);
}

function revoked(count: number): Response {
  return Response.json({ revoked: count });
}

function problem(status: number, message: string): Response {
  return Response.json({ error: "bad_request", message }, { status });
}

function listed(record: SessionRecord): ListedSession {
  const iso = (milliseconds: number) => new Date(milliseconds).toISOString();
  return {
    id: record.id.slice(0, SHORT_ID),
    email: record.email,
    created_at: iso(record.createdAt),
    seen_at: iso(record.seenAt),
    expires_at: iso(record.expiresAt),
    ip: record.ip,
    user_agent: record.userAgent,
  };
}
