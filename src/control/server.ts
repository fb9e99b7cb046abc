import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Policy } from "../access/policy.ts";
import type { LoginService } from "../login/service.ts";
import { bindUnixSocket, removeStaleSocket } from "../net/unix-socket.ts";
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
  await removeStaleSocket(path);
  const { server, release } = bindUnixSocket(path, { mode: 0o600 }, (unix) =>
    Bun.serve({
      unix,
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
    }),
  );

  async function link({ email }: { email: string }): Promise<Response> {
    const address = asAddress(email);
    if (!policy.allows(address)) return problem(403, `${address} may not sign in to the running instance.`);
    return Response.json({ link: login.mintLink(address, settings.landingPath) });
  }

  return {
    async stop() {
      release();
      await server.stop(true);
    },
  };
}

function problem(status: number, message: string): Response {
  return Response.json({ error: "bad_request", message }, { status });
}
