import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { AnswerOwn } from "../edge/own.ts";
import { checkDirectory } from "../net/directory.ts";
import { bindUnixSocket, removeStaleSocket } from "../net/unix-socket.ts";
import { type Operations, serveOperator } from "./serve.ts";

/** A reload waits for every worker. */
const LONGEST_SECONDS = 60;

/**
 * The management API for the command line, over a unix socket that only the instance's own user (and root) can open. It is never
 * on the network, and the file system is its whole access control.
 *
 * Listens until stopped. A socket left behind by a process that was killed is replaced.
 * @throws if another instance answers there, if something else has that name, or if its directory is open to others.
 */
export async function startControl(
  path: string,
  answer: AnswerOwn,
  operations?: Operations,
): Promise<{ stop(): Promise<void> }> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  checkDirectory(dirname(path));
  await removeStaleSocket(path);
  const serve = serveOperator(answer, operations);
  const { server, release } = bindUnixSocket(path, { mode: 0o600 }, (unix) =>
    Bun.serve({
      unix,
      fetch(request, server) {
        server.timeout(request, LONGEST_SECONDS);
        return serve(request);
      },
      development: false,
    }),
  );
  return {
    async stop() {
      release();
      await server.stop(true);
    },
  };
}
