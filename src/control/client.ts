import { existsSync } from "node:fs";
import { dirname } from "node:path";
import type { ShownStatus } from "../admin/api.ts";
import type { ListedApplication } from "../applications/api.ts";
import type { ListedEvent } from "../audit/api.ts";
import type { BegunProbe } from "../doctor/api.ts";
import type { ArrivedProbe } from "../doctor/probes.ts";
import { API_PREFIX } from "../edge/target.ts";
import type {
  ListedGrant,
  ListedPerson,
  MadeGrant,
  RemovedUser,
  UserChange,
  WantedUser,
} from "../grants/api.ts";
import type { ListedRequest } from "../grants/requests-api.ts";
import type { ListedHook, TestedHookItem } from "../hooks/api.ts";
import type { ListedToken, MadeToken, WantedToken } from "../keys/api.ts";
import type { MadeLink, SharedLinkItem, WantedLink } from "../login/api.ts";
import type { ListedMail, TestedMail } from "../mail/api.ts";
import { checkDirectory } from "../net/directory.ts";
import { fetchOnSocket } from "../net/unix-socket.ts";
import { messageOf } from "../observe/message-of.ts";
import type { RotatedClientKeys } from "../provider/api.ts";
import type { RotationStanding } from "../rotation/api.ts";
import type { ListedSession, ListedUser } from "../session/api.ts";
import type { Counts } from "../store/copy.ts";
import type { ListedTunnel, MadeTunnel } from "../tunnel/api.ts";
import type { WantedCopy } from "./copy.ts";

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
  status(): Promise<ShownStatus>;
  /** Oldest first. */
  sessions(): Promise<ListedSession[]>;
  /** By address. */
  users(): Promise<ListedUser[]>;
  /** What people were given besides configuration, by address. */
  grants(): Promise<ListedGrant[]>;
  letIn(wanted: WantedUser): Promise<MadeGrant>;
  changeUser(email: string, change: UserChange): Promise<void>;
  removeUser(email: string): Promise<RemovedUser>;
  /** Open requests for access, oldest first. */
  requests(): Promise<ListedRequest[]>;
  /** @param until as the API takes it; undefined for no end. */
  approve(id: string, until: string | undefined): Promise<ListedRequest>;
  refuse(id: string): Promise<ListedRequest>;
  /** @returns how many sessions were ended. */
  revoke(which: Revocation): Promise<number>;
  link(wanted: WantedLink): Promise<MadeLink>;
  /** Links for several uses that have not ended, oldest first. */
  links(): Promise<SharedLinkItem[]>;
  revokeLink(id: string): Promise<void>;
  /** Mail that waits, oldest first. */
  mails(): Promise<ListedMail[]>;
  retryMail(id: string): Promise<void>;
  dropMail(id: string): Promise<void>;
  /** Has the running instance send a test mail. */
  testMail(email: string): Promise<TestedMail>;
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
  /** Events of the audit, newest first. @param most undefined for all that fit. */
  events(filter: Readonly<Record<string, string>>, most?: number): Promise<ListedEvent[]>;
  /** All of the audit that fits, oldest first, as lines of JSON. */
  exportEvents(filter: Readonly<Record<string, string>>): Promise<ReadableStream<Uint8Array>>;
  /** Seals anew what is under the session key before this one. @returns what still needs that. */
  renewSeals(): Promise<RotationStanding>;
  /** New keys for tokens of OpenID clients. @param compromised whether those there are go at once. */
  rotateClientKeys(compromised: boolean): Promise<RotatedClientKeys>;
  /** Has the running instance read its configuration again. */
  reload(): Promise<void>;
  hooks(): Promise<ListedHook[]>;
  /** Sends it an event of type `test`. */
  testHook(name: string): Promise<TestedHookItem>;
  /** By name. */
  tunnels(): Promise<ListedTunnel[]>;
  createTunnel(name: string): Promise<MadeTunnel>;
  rotateTunnel(name: string): Promise<MadeTunnel>;
  revokeTunnel(name: string): Promise<void>;
  beginProbe(): Promise<BegunProbe>;
  /** What has arrived with a nonce. */
  arrivedWith(nonce: string): Promise<readonly ArrivedProbe[]>;
  /** Has a certificate ordered for each host, whether or not it is time. */
  renewCertificates(): Promise<void>;
  /** Copies what the running instance keeps in its memory, or into it. @returns how many of each kind. */
  copyMemory(wanted: WantedCopy): Promise<Counts>;
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
    return (await readAnswer(response)) as T;
  }

  /** @throws {ControlError} */
  async function readAnswer(response: Response): Promise<unknown> {
    let answer: unknown;
    try {
      answer = await response.json();
    } catch {
      throw new ControlError("Something other than this version of Runegate answers on the control socket.");
    }
    if (response.ok) return answer;
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

  async function list<T>(
    path: string,
    filter: Readonly<Record<string, string>> = {},
    most = Number.POSITIVE_INFINITY,
  ): Promise<T[]> {
    const all: T[] = [];
    let cursor: string | null | undefined;
    do {
      const query = new URLSearchParams(cursor == null ? filter : { ...filter, cursor });
      const page = await ask<{ items: T[]; next: string | null }>("GET", `${path}?${query}`);
      all.push(...(page?.items ?? []));
      cursor = page?.next ?? null;
    } while (cursor !== null && all.length < most);
    return all.slice(0, most);
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
    status: () => askFor<ShownStatus>("GET", "/admin/status"),
    async sessions() {
      const all = await list<ListedSession>("/sessions");
      return all.sort((a, b) => (a.created_at < b.created_at ? -1 : Number(a.created_at > b.created_at)));
    },
    users: () => list<ListedUser>("/users"),
    grants: async () => (await list<ListedPerson>("/admin/users")).flatMap(({ grants }) => grants),
    letIn: (wanted) => askFor("POST", "/admin/users", wanted),
    changeUser: async (email, change) => void (await ask("PATCH", `/admin${userPath(email)}`, change)),
    removeUser: (email) => askFor("DELETE", `/admin${userPath(email)}`),
    requests: () => list<ListedRequest>("/admin/requests"),
    approve: (id, until) =>
      askFor(
        "POST",
        `/admin/requests/${encodeURIComponent(id)}/approve`,
        until === undefined ? {} : { until },
      ),
    refuse: (id) => askFor("POST", `/admin/requests/${encodeURIComponent(id)}/refuse`),
    async revoke(which) {
      if ("id" in which) return revokeOne(which.id);
      const query = new URLSearchParams("all" in which ? { all: "true" } : which);
      return (await ask<{ revoked: number }>("DELETE", `/sessions?${query}`))?.revoked ?? 0;
    },
    mails: () => list<ListedMail>("/admin/mail"),
    retryMail: async (id) => void (await ask("POST", `/admin/mail/${encodeURIComponent(id)}/retry`)),
    dropMail: async (id) => void (await ask("DELETE", `/admin/mail/${encodeURIComponent(id)}`)),
    testMail: (email) => askFor<TestedMail>("POST", "/admin/mail/test", { email }),
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
    events: (filter, most) =>
      list<ListedEvent>("/admin/audit", { limit: `${Math.min(200, most ?? 200)}`, ...filter }, most),
    async exportEvents(filter) {
      const response = await send(`http://runegate${API_PREFIX}/admin/audit?${new URLSearchParams(filter)}`, {
        headers: { Accept: "application/x-ndjson" },
      });
      if (!response.ok || response.body === null) throw new ControlError(`${await readAnswer(response)}`);
      return response.body;
    },
    renewSeals: () => askFor<RotationStanding>("POST", "/secrets/renew"),
    rotateClientKeys: (compromised) => askFor<RotatedClientKeys>("POST", "/clients/keys", { compromised }),
    reload: async () => void (await ask("POST", "/reload")),
    hooks: () => list<ListedHook>("/hooks"),
    testHook: (name) => askFor("POST", `/hooks/${encodeURIComponent(name)}/test`),
    tunnels: () => list<ListedTunnel>("/tunnels"),
    createTunnel: (name) => askFor("POST", "/tunnels", { name }),
    rotateTunnel: (name) => askFor("POST", `/tunnels/${encodeURIComponent(name)}/rotate`),
    revokeTunnel: async (name) => void (await ask("DELETE", `/tunnels/${encodeURIComponent(name)}`)),
    beginProbe: () => askFor<BegunProbe>("POST", "/doctor/probes"),
    arrivedWith: async (nonce) =>
      (await ask<{ arrived: ArrivedProbe[] }>("GET", `/doctor/probes/${nonce}`))?.arrived ?? [],
    renewCertificates: async () => void (await ask("POST", "/certificates/renew")),
    copyMemory: (wanted) => askFor("POST", "/store/copy", wanted),
    link: (wanted) => askFor("POST", "/links", wanted),
    links: () => list<SharedLinkItem>("/links"),
    revokeLink: async (id) => void (await ask("DELETE", `/links/${encodeURIComponent(id)}`)),
  };
}

function userPath(email: string): string {
  return `/users/${encodeURIComponent(email)}`;
}

function tokensOf(owner: string): string {
  return `${userPath(owner)}/tokens`;
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
