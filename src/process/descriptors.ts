import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { atMostEvery } from "../observe/at-most-every.ts";
import type { Logger } from "../observe/logger.ts";
import { openLibc } from "./libc.ts";

/**
 * What happens when a process has as many descriptors open as it may. Left alone, Bun tries again and again to accept the
 * connection that waits, which takes a whole core, and nobody who is connected reaches the application any more.
 *
 * So some descriptors are held in reserve. When there is no other left they are given up, for what those who are connected need
 * next; idle connections are closed, and new ones wait in the kernel's queue until the reserve is full again. Bun has nothing to
 * stop accepting with: the listening sockets are made silent in its epoll set, as /proc shows it (proc(5), epoll_ctl(2)).
 */

const LOOK_EVERY_MS = 250;
const LOG_EVERY_MS = 60_000;
/** A connection to the application each, for those who are being served. */
const RESERVE = 64;

/** @param server has the only listening sockets that there are at this moment. */
export function guardDescriptors(server: { closeIdleConnections(): number }, log: Logger): { stop(): void } {
  const limit = descriptorLimit();
  const reserve = Math.min(RESERVE, limit >> 3);
  const held: number[] = [];
  /** Opened when it is needed first. */
  let setGate: ReturnType<typeof openGate>;
  let closed = false;
  const mayLog = atMostEvery(LOG_EVERY_MS);

  function release(): void {
    for (const descriptor of held.splice(0)) closeSync(descriptor);
  }

  /** Fills the reserve. @returns whether there is another one beside it. */
  function hasRoom(): boolean {
    try {
      while (held.length < reserve) held.push(openSync("/dev/null", "r"));
      closeSync(openSync("/dev/null", "r"));
      return true;
    } catch {
      return false;
    }
  }

  function look(): void {
    const room = hasRoom();
    if (!room) release();
    if (closed === room) {
      closed = !room;
      setGate ??= openGate();
      setGate?.(room);
    }
    if (room) return;
    const idle = server.closeIdleConnections();
    if (mayLog(performance.now()))
      log.error("too few descriptors: new connections wait until others end", { limit, idle });
  }

  const timer = setInterval(look, LOOK_EVERY_MS);
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      release();
    },
  };
}

/** As many descriptors may be open at a time (proc(5), `/proc/pid/limits`). */
function descriptorLimit(): number {
  try {
    const soft = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
    return soft === undefined ? Number.MAX_SAFE_INTEGER : Number(soft);
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}

/** @returns what makes the listening sockets of this process silent, or heard again; undefined where that cannot be done. */
function openGate(): ((open: boolean) => void) | undefined {
  const libc = openLibc();
  if (libc === undefined) return undefined;
  const watched = watchedDescriptors().filter(({ descriptor }) => libc.isListening(descriptor));
  return (open) => {
    for (const { epoll, descriptor, events, data } of watched) {
      libc.changeEvents(epoll, descriptor, open ? events : 0, data);
    }
  };
}

type Watched = {
  readonly epoll: number;
  readonly descriptor: number;
  readonly events: number;
  readonly data: bigint;
};

/** What the epoll sets of this process wait for (proc(5), `/proc/pid/fdinfo`). */
function watchedDescriptors(): Watched[] {
  if (!existsSync("/proc/self/fdinfo")) return [];
  return readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) !== "anon_inode:[eventpoll]") return [];
      const lines = readFileSync(`/proc/self/fdinfo/${name}`, "latin1").matchAll(
        /^tfd: +(\d+) +events: +([0-9a-f]+) +data: +([0-9a-f]+)/gm,
      );
      return Array.from(lines, ([, descriptor, events = "", data = ""]) => ({
        epoll: Number(name),
        descriptor: Number(descriptor),
        events: Number.parseInt(events, 16),
        data: BigInt(`0x${data}`),
      }));
    } catch {
      // Closed meanwhile.
      return [];
    }
  });
}
