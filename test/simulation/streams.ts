import { type Gateway, ORIGIN } from "./gateways.ts";
import { judgeStream, judgeUse, RULES, type Session } from "./model.ts";
import { type Browser, cookieLine } from "./visitor.ts";
import type { World } from "./world.ts";

/** A WebSocket or an event stream through a gateway, on the strength of a session. */
export type Stream = {
  readonly state: Session;
  readonly isOpen: () => boolean;
  /** Looks, some time later, whether it has ended as it must once its session has, at `endedBy`. */
  mustEnd(endedBy: number): void;
  /** Its visitor closes it. */
  close(): void;
};

type Opening = {
  readonly world: World;
  readonly gateway: Gateway;
  readonly browser: Browser;
  readonly client: string;
  readonly state: Session;
  readonly history: readonly string[];
};

/** @returns undefined if it was not opened, which is judged elsewhere. */
export async function openStream(
  opening: Opening,
  kind: "WebSocket" | "events",
): Promise<Stream | undefined> {
  const { gateway, browser, client } = opening;
  const headers = {
    Host: new URL(ORIGIN).host,
    Origin: ORIGIN,
    "X-Forwarded-For": client,
    "X-Forwarded-Proto": "https",
    Cookie: cookieLine(browser),
  };
  const opened =
    kind === "WebSocket" ? await openSocket(gateway, headers) : await openEvents(gateway, headers);
  return opened === undefined ? undefined : watch(opening, kind, opened);
}

type Opened = { readonly closed: Promise<void>; close(): void };

async function openSocket({ url }: Gateway, headers: Record<string, string>): Promise<Opened | undefined> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket`, { headers } as unknown as string);
  const [opened, closed] = [Promise.withResolvers<boolean>(), Promise.withResolvers<void>()];
  socket.onopen = () => opened.resolve(true);
  socket.onclose = () => {
    opened.resolve(false);
    closed.resolve();
  };
  return (await opened.promise) ? { closed: closed.promise, close: () => socket.close() } : undefined;
}

async function openEvents({ url }: Gateway, headers: Record<string, string>): Promise<Opened | undefined> {
  const abort = new AbortController();
  try {
    const settings = { headers, redirect: "manual", signal: abort.signal } as const;
    const response = await fetch(`${url}/events`, settings);
    const reader = response.body?.getReader();
    if (response.status !== 200 || reader === undefined) return undefined;
    const drain = async () => {
      try {
        while (!(await reader.read()).done);
      } catch {
        // Broken off is an end, too.
      }
    };
    return { closed: drain(), close: () => abort.abort() };
  } catch {
    return undefined;
  }
}

function watch({ world, gateway, state, history }: Opening, kind: string, { closed, close }: Opened): Stream {
  const openedAt = performance.now();
  let closedAt: number | undefined;
  let left = false;
  let judged = false;
  const { troubles, ledger } = world;

  void closed.then(() => {
    closedAt = performance.now();
    if (left) return;
    const moment = { from: closedAt, to: closedAt };
    if (troubles.explain(gateway.number, openedAt, closedAt)) return;
    if (judgeUse(state, moment, gateway.number, "out", troubles) === undefined) return;
    const said = [...history, `opened at ${openedAt}, closed at ${closedAt}`];
    ledger.wrong(`${state.email}: a ${kind} at g${gateway.number} was closed for no reason`, said);
  });

  function mustEnd(endedBy: number): void {
    if (judged) return;
    judged = true;
    const look = async () => {
      await Bun.sleep(Math.max(0, endedBy + RULES.endsWithin + 600 - performance.now()));
      if (left) return;
      ledger.count(`${kind} looked at after its session's end`);
      const problem = judgeStream(endedBy, closedAt, performance.now());
      const said = [...history, `opened at ${openedAt}, ended by ${endedBy}, closed at ${closedAt}`];
      if (problem !== undefined)
        ledger.wrong(`${state.email}: ${kind} at g${gateway.number}: ${problem}`, said);
      left = true;
      close();
    };
    const looking = look().finally(() => world.later.delete(looking));
    world.later.add(looking);
  }

  return {
    state,
    isOpen: () => closedAt === undefined && !left,
    mustEnd,
    close() {
      left = true;
      close();
    },
  };
}
