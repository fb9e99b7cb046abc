import { existsSync } from "node:fs";
import { dirname } from "node:path";
import type { ListedApplication } from "../applications/api.ts";
import { RENEW_PATH } from "../certificates/renew-path.ts";
import type { BegunProbe } from "../doctor/api.ts";
import type { ArrivedProbe } from "../doctor/probes.ts";
import { API_PREFIX } from "../edge/target.ts";
import type { ListedToken, MadeToken, WantedToken } from "../keys/api.ts";
import type { MadeLink, SharedLinkItem, WantedLink } from "../login/api.ts";
import type { ListedMail } from "../mail/api.ts";
import { fetchOnSocket } from "../net/unix-socket.ts";
import { messageOf } from "../observe/message-of.ts";
import type { ListedSession, ListedUser } from "../session/api.ts";
import { checkDirectory } from "./directory.ts";

/** The management API as the command line uses it. */

/** The running instance was not reached, or did not do what was asked; the message says what to do. */
export class ControlError extends Error {
  readonly code: "control_failed" | "not_running" | "not_found";

  constructor(message: string, code: ControlError["code"] = "control_failed") {
    super(message);
    this.code = code;
  }
}

/** All methods throw {@link ControlError}. */
export type Operator = {
  /** Oldest first. */
  sessions(): Promise<ListedSession[]>;
  /** By address. */
  users(): Promise<ListedUser[]>;
  /** @returns how many sessions were ended. */
  revoke(which: Revocation): Promise<number>;
  link(wanted: WantedLink): Promise<MadeLink>;
  /** Links for several uses that have not ended, oldest first. */
  links(): Promise<SharedLinkItem[]>;
  revokeLink(id: string): Promise<void>;
  /** Mail that waits, oldest first. */
  mails(): Promise<ListedMail[]>;
  retryMail(id: string): Promise<void>;
  deleteMail(id: string): Promise<void>;
  routes(): Promise<ListedApplication[]>;
  /** Closes an application for maintenance. @param message what visitors are told; undefined for the usual. */
  close(route: string, message: string | undefined): Promise<void>;
  /** Opens it again. */
  open(route: string): Promise<void>;
  /** API keys, oldest first. @param owner whose; by default everybody's. */
  tokens(owner?: string): Promise<ListedToken[]>;
  createToken(owner: string, wanted: WantedToken): Promise<MadeToken>;
  /** @param overlap for how long the secret before goes on, as the API takes it. */
  rotateToken(token: OneToken, overlap: string | undefined): Promise<MadeToken>;
  disableToken(token: OneToken): Promise<void>;
  revokeToken(token: OneToken): Promise<void>;
  beginProbe(): Promise<BegunProbe>;
  /** What has arrived with a nonce. */
  arrivedWith(nonce: string): Promise<readonly ArrivedProbe[]>;
  /** Has a certificate ordered for each host, whether or not it is time. */
  renewCertificates(): Promise<void>;
};

type OneToken = Pick<ListedToken, "id" | "sub">;

export type Revocation =
  | { readonly all: true }
  | { readonly email: string }
  /** As listed; must name exactly one session. */
  | { readonly id: string };

/** How the API is reached, as `fetch`. */
export type Send = (url: string, init: RequestInit) => Promise<Response>;

export function createOperator(send: Send): Operator {
  async function ask<T>(method: string, path: string, body?: object): Promise<T | undefined> {
    const init =
      body === undefined
        ? { method }
        : { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
    const response = await send(`http://runegate${API_PREFIX}${path}`, init);
    if (response.status === 204) return undefined;
    let answer: unknown;
    try {
      answer = await response.json();
    } catch {
      throw new ControlError("Something other than this version of Runegate answers on the control socket.");
    }
    if (response.ok) return answer as T;
    const { error, message = "refused" } = answer as { error?: string; message?: string };
    if (error === "store_unavailable")
      throw new ControlError("The store cannot be reached; the log says why.");
    throw new ControlError(message, error === "not_found" ? error : "control_failed");
  }

  /** As {@link ask}, where there always is an answer. */
  async function askFor<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await ask<T>(method, path, body);
    if (answer === undefined) throw new ControlError("The running instance gave no answer.");
    return answer;
  }

  async function list<T>(path: string, filter: Readonly<Record<string, string>> = {}): Promise<T[]> {
    const all: T[] = [];
    let cursor: string | null | undefined;
    do {
      const query = new URLSearchParams(cursor == null ? filter : { ...filter, cursor });
      const page = await ask<{ items: T[]; next: string | null }>("GET", `${path}?${query}`);
      all.push(...(page?.items ?? []));
      cursor = page?.next ?? null;
    } while (cursor !== null);
    return all;
  }

  async function revokeOne(id: string): Promise<number> {
    if (id === "") throw new ControlError("Say which session.");
    try {
      await ask("DELETE", `/sessions/${encodeURIComponent(id)}`);
      return 1;
    } catch (error) {
      if (error instanceof ControlError && error.code === "not_found") return 0;
      throw error;
    }
  }

  return {
    sessions: () => list<ListedSession>("/sessions"),
    users: () => list<ListedUser>("/users"),
    async revoke(which) {
      if ("id" in which) return revokeOne(which.id);
      const query = new URLSearchParams("all" in which ? { all: "true" } : which);
      return (await ask<{ revoked: number }>("DELETE", `/sessions?${query}`))?.revoked ?? 0;
    },
    mails: () => list<ListedMail>("/mail"),
    retryMail: async (id) => void (await ask("POST", `/mail/${encodeURIComponent(id)}/retry`)),
    deleteMail: async (id) => void (await ask("DELETE", `/mail/${encodeURIComponent(id)}`)),
    routes: () => list<ListedApplication>("/routes"),
    close: async (route, message) =>
      void (await ask(
        "PUT",
        `/routes/${encodeURIComponent(route)}/closed`,
        message === undefined ? {} : { message },
      )),
    open: async (route) => void (await ask("DELETE", `/routes/${encodeURIComponent(route)}/closed`)),
    tokens: (owner) => list<ListedToken>("/tokens", owner === undefined ? {} : { owner }),
    createToken: (owner, wanted) => askFor("POST", tokensOf(owner), wanted),
    rotateToken: ({ sub, id }, overlap) =>
      askFor("POST", `${tokensOf(sub)}/${id}/rotate`, overlap === undefined ? {} : { overlap }),
    disableToken: async ({ sub, id }) =>
      void (await ask("PATCH", `${tokensOf(sub)}/${id}`, { disabled: true })),
    revokeToken: async ({ sub, id }) => void (await ask("DELETE", `${tokensOf(sub)}/${id}`)),
    beginProbe: () => askFor<BegunProbe>("POST", "/doctor/probes"),
    arrivedWith: async (nonce) =>
      (await ask<{ arrived: ArrivedProbe[] }>("GET", `/doctor/probes/${nonce}`))?.arrived ?? [],
    renewCertificates: async () => void (await ask("POST", RENEW_PATH)),
    link: (wanted) => askFor("POST", "/links", wanted),
    links: () => list<SharedLinkItem>("/links"),
    revokeLink: async (id) => void (await ask("DELETE", `/links/${encodeURIComponent(id)}`)),
  };
}

function tokensOf(owner: string): string {
  return `/users/${encodeURIComponent(owner)}/tokens`;
}

/** The running instance, over its control socket. */
export function connectControl(path: string): Operator {
  return createOperator(async (url, init) => {
    try {
      checkDirectory(dirname(path));
    } catch (error) {
      throw new ControlError(
        `Cannot ask the running instance: ${messageOf(error)}.`,
        existsSync(dirname(path)) ? "control_failed" : "not_running",
      );
    }
    try {
      return await fetchOnSocket(path, url, init);
    } catch {
      throw new ControlError(
        `No running instance answers on ${path}. Is runegate running, as a user whose files you may open?`,
        "not_running",
      );
    }
  });
}
