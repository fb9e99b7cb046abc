import { networkInterfaces } from "node:os";
import type { Random } from "../clock.ts";
import { type Link, type LinkSettings, openLink } from "./link.ts";

/** Keeps connections to a gateway up: the other end of `tunnel/`. */
export type Connector = {
  status(): ConnectorStatus;
  /** Lets what goes through it finish, for so many milliseconds at most. */
  stop(withinMs: number): Promise<void>;
};

export type ConnectorStatus = {
  /** One for each connection that is up. */
  readonly connections: readonly { readonly roundTripMs: number | null; readonly streams: number }[];
  readonly sent: number;
  readonly received: number;
  /** Why the last one ended, or could not be made. */
  readonly problem: string | undefined;
};

export type ConnectorSettings = Pick<LinkSettings, "url" | "headers" | "tls" | "services" | "clock"> & {
  /** Connections at once. */
  readonly connections: number;
  readonly random: Random;
  /** Of connections: how many are up, and what the last problem was. */
  changed(up: number, problem: string | undefined): void;
};

/** Milliseconds before the first try after a failure, and the most. */
const SOONEST_MS = 200;
const LATEST_MS = 30_000;
/** How often a connector that waits looks whether the network is another one. */
const NETWORK_LOOK_MS = 1_000;
/** A connection that was up for so long has begun well. */
const GOOD_MS = 10_000;

export function createConnector(settings: ConnectorSettings): Connector {
  const { clock, random } = settings;
  const up = new Set<Link>();
  const leaving = new Set<Link>();
  let stopping = false;
  let problem: string | undefined;
  let gone = { sent: 0, received: 0 };
  const waits = new Set<() => void>();

  /** One of the connections that are to be up, and the ones that follow it. */
  function keep(failures: number, replaces?: Link): void {
    let openedAt = 0;
    openLink({
      ...settings,
      opened(link) {
        openedAt = clock.monotonic();
        up.add(link);
        problem = undefined;
        if (replaces !== undefined) retire(replaces);
        settings.changed(up.size, undefined);
      },
      goAway(link) {
        // Another one first; this one serves until it is there.
        if (!stopping && up.delete(link)) {
          leaving.add(link);
          keep(0, link);
        }
      },
      closed(link, why) {
        if (link === undefined) {
          problem = why;
          if (!stopping) again(failures + 1, replaces);
        } else {
          const { sent, received } = link.session;
          gone = { sent: gone.sent + sent, received: gone.received + received };
          leaving.delete(link);
          const wasUp = up.delete(link);
          if (wasUp) problem = why;
          if (wasUp && !stopping) again(clock.monotonic() - openedAt < GOOD_MS ? failures + 1 : 0);
        }
        settings.changed(up.size, problem);
      },
    });
  }

  function retire(link: Link): void {
    link.leave();
  }

  function again(failures: number, replaces?: Link): void {
    const most = Math.min(LATEST_MS, SOONEST_MS * 2 ** Math.min(failures, 10));
    const [a = 0, b = 0] = random.bytes(2);
    const wait = Math.max(SOONEST_MS, ((a * 256 + b) / 65_536) * most);
    const at = networkName();
    const go = () => {
      clearTimeout(timer);
      clearInterval(look);
      waits.delete(go);
      if (!stopping) keep(failures, replaces);
    };
    const timer = setTimeout(go, wait);
    const look = setInterval(() => networkName() !== at && go(), NETWORK_LOOK_MS);
    waits.add(go);
  }

  for (let count = 0; count < settings.connections; count++) keep(0);

  return {
    status() {
      const all = [...up];
      const sum = (of: "sent" | "received") =>
        [...up, ...leaving].reduce((total, { session }) => total + session[of], gone[of]);
      return {
        connections: all.map(({ roundTrip, session }) => ({ roundTripMs: roundTrip, streams: session.size })),
        ...{ sent: sum("sent"), received: sum("received"), problem },
      };
    },
    async stop(withinMs) {
      stopping = true;
      for (const go of [...waits]) go();
      for (const link of [...up]) {
        leaving.add(link);
        up.delete(link);
        link.leave();
      }
      const endsAt = clock.monotonic() + withinMs;
      while (leaving.size > 0 && clock.monotonic() < endsAt) await Bun.sleep(50);
      for (const link of [...leaving]) link.close();
    },
  };
}

/** Which addresses the machine has. */
function networkName(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all
    .filter(({ internal }) => !internal)
    .map(({ address }) => address)
    .sort()
    .join();
}
