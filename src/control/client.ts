import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fetchOnSocket } from "../net/unix-socket.ts";
import { messageOf } from "../observe/message-of.ts";
import { checkDirectory } from "./directory.ts";
import type { ListedSession, ListedUser, Operator } from "./operator.ts";

/** The command line's side of the control socket. */

/** The running instance was not reached, or did not do what was asked; the message says what to do. */
export class ControlError extends Error {
  readonly code: "control_failed" | "not_running";

  constructor(message: string, code: ControlError["code"] = "control_failed") {
    super(message);
    this.code = code;
  }
}

/** All methods throw {@link ControlError}. */
export type ControlClient = Operator & {
  link(email: string): Promise<string>;
};

export function connectControl(path: string): ControlClient {
  async function ask(route: string, body?: object): Promise<unknown> {
    let response: Response;
    try {
      checkDirectory(dirname(path));
    } catch (error) {
      throw new ControlError(
        `Cannot ask the running instance: ${messageOf(error)}.`,
        existsSync(dirname(path)) ? "control_failed" : "not_running",
      );
    }
    try {
      const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
      response = await fetchOnSocket(path, `http://runegate${route}`, init);
    } catch {
      throw new ControlError(
        `No running instance answers on ${path}. Is runegate running, as a user whose files you may open?`,
        "not_running",
      );
    }
    let answer: unknown;
    try {
      answer = await response.json();
    } catch {
      throw new ControlError(`Something other than Runegate answers on ${path}.`);
    }
    if (!response.ok) throw new ControlError((answer as { message?: string }).message ?? "refused");
    return answer;
  }

  return {
    sessions: async () => (await ask("/sessions")) as ListedSession[],
    users: async () => (await ask("/users")) as ListedUser[],
    revoke: async (request) => ((await ask("/revoke", request)) as { revoked: number }).revoked,
    link: async (email) => ((await ask("/link", { email })) as { link: string }).link,
  };
}
