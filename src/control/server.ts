import { lstatSync, mkdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import type { Policy } from "../access/policy.ts";
import type { LoginService } from "../login/service.ts";
import { checkDirectory } from "./directory.ts";
import { asAddress, type Operator, OperatorError, type RevokeRequest } from "./operator.ts";

/**
 * What the command line asks of the running instance, over a unix socket that only its own user (and root) can open. It is
 * never on the network, and the file system is its whole access control.
 */

export type ControlSettings = {
  readonly path: string;
  readonly operator: Operator;
  readonly login: LoginService;
  readonly policy: Policy;
  readonly landingPath: string;
};

/**
 * Listens until stopped. A socket left behind by a process that was killed is replaced.
 * @throws if another instance answers there, if something else has that name, or if its directory is open to others.
 */
export async function startControl(settings: ControlSettings): Promise<{ stop(): Promise<void> }> {
  const { path, operator, login, policy } = settings;
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
        "/sessions": { GET: async () => Response.json(await operator.sessions()) },
        "/users": { GET: async () => Response.json(await operator.users()) },
        "/revoke": {
          POST: async (request) =>
            Response.json({ revoked: await operator.revoke((await request.json()) as RevokeRequest) }),
        },
        "/link": { POST: async (request) => link((await request.json()) as { email: string }) },
      },
      error: (error) =>
        error instanceof OperatorError
          ? problem(400, error.message)
          : Response.json({ error: "failed", message: error.message }, { status: 500 }),
    });
  } finally {
    process.umask(umask);
  }
  const { ino } = lstatSync(path);

  async function link({ email }: { email: string }): Promise<Response> {
    const address = asAddress(email);
    if (!policy.allows(address)) return problem(403, `${address} may not sign in to the running instance.`);
    return Response.json({ link: login.mintLink(address, settings.landingPath) });
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

function problem(status: number, message: string): Response {
  return Response.json({ error: "bad_request", message }, { status });
}
