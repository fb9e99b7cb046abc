import { networkInterfaces } from "node:os";
import type { Random } from "../clock.ts";
import { createBucket } from "../yamux/bucket.ts";
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
  /** Another text with another network; the addresses of the machine, unless said. */
  readonly network?: () => string;
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
/** Two that were cut off within so many milliseconds of the same age are cut by something on the way that lets none grow older. */
const SAME_AGE_MS = 2_000;
/** How often another connection is made at once because the gateway asks for it, each connection, and each second after that. */
const ASKINGS = [8, 0.1] as const;
/** That wait for what goes through them, for each connection that is to be up. */
const MOST_LEAVING = 16;

/** One of the connections that are to be up, and the ones that follow it. */
type Place = {
  /** Age at which the last was cut off, and at which they always are, as far as is known. Milliseconds. */
  cutAt: number | undefined;
  limit: number | undefined;
};

export function createConnector(settings: ConnectorSettings): Connector {
  const { clock, random, connections, network = networkName } = settings;
  const mayHurry = createBucket(ASKINGS[0] * connections, ASKINGS[1], clock);
  const up = new Set<Link>();
  const leaving = new Set<Link>();
  let stopping = false;
  let problem: string | undefined;
  let gone = { sent: 0, received: 0 };
  const waits = new Set<() => void>();

  function keep(place: Place, failures: number, replaces?: Link): void {
    let openedAt = 0;
    let renewal: ReturnType<typeof setTimeout> | undefined;
    /** Another one first; this one serves until it is there. */
    const renew = (link: Link) => {
      if (stopping || !up.delete(link)) return;
      leaving.add(link);
      const [oldest] = leaving;
      if (leaving.size > MOST_LEAVING * connections) oldest?.close();
      if (mayHurry()) keep(place, 0, link);
      else again(place, 1, link);
    };
    openLink({
      ...settings,
      opened(link) {
        if (stopping) return link.close();
        openedAt = clock.monotonic();
        up.add(link);
        problem = undefined;
        replaces?.leave();
        if (place.limit !== undefined)
          renewal = setTimeout(renew, place.limit * (0.5 + 0.4 * draw()), link).unref();
        settings.changed(up.size, undefined);
      },
      goAway: renew,
      closed(link, why) {
        clearTimeout(renewal);
        if (link === undefined) {
          problem = why;
          if (!stopping) again(place, failures + 1, replaces);
        } else {
          const { sent, received } = link.session;
          gone = { sent: gone.sent + sent, received: gone.received + received };
          leaving.delete(link);
          const wasUp = up.delete(link);
          if (wasUp) problem = why;
          if (wasUp && !stopping) {
            const age = clock.monotonic() - openedAt;
            if (age >= GOOD_MS) note(place, age);
            again(place, age < GOOD_MS ? failures + 1 : 0);
          }
        }
        settings.changed(up.size, problem);
      },
    });
  }

  function note(place: Place, age: number): void {
    if (place.cutAt !== undefined && Math.abs(age - place.cutAt) < SAME_AGE_MS) place.limit = age;
    place.cutAt = age;
  }

  /** From 0 to 1. */
  function draw(): number {
    const [a = 0, b = 0] = random.bytes(2);
    return (a * 256 + b) / 65_536;
  }

  function again(place: Place, failures: number, replaces?: Link): void {
    const most = Math.min(LATEST_MS, 2 * SOONEST_MS * 2 ** failures);
    const wait = SOONEST_MS + draw() * (most - SOONEST_MS);
    const at = network();
    const go = () => {
      clearTimeout(timer);
      clearInterval(look);
      waits.delete(go);
      if (!stopping) keep(place, failures, replaces);
    };
    const timer = setTimeout(go, wait);
    const look = setInterval(() => network() !== at && go(), NETWORK_LOOK_MS);
    waits.add(go);
  }

  for (let count = 0; count < connections; count++) keep({ cutAt: undefined, limit: undefined }, 0);

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
