import { join } from "node:path";
import type { Clock, Pause, Random } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import type { OptionsOf } from "../option/option.ts";
import type { SinkAddress } from "./address.ts";
import { createDelivery, type Delivery, type SinkState } from "./delivery.ts";
import type { SINK_OPTIONS } from "./options.ts";
import { createSpool } from "./spool.ts";
import type { SendDatagram } from "./syslog-transports.ts";
import type { Transport } from "./transport.ts";

/** Where log lines go beside standard output: to the sinks of the log, and those of the audit. */
export type Sinks = {
  /** A line of the log, a JSON object. Neither waits nor throws. */
  log(line: string): void;
  /** A line of the audit. */
  audit(line: string): void;
  /** Goes on with those of other options: what is the same stays, with what waits for it. */
  use(options: SinkOptions): void;
  /** Lets go of files that have been moved. */
  reopen(): void;
  close(): Promise<void>;
  states(): readonly SinkState[];
};

export type SinkOptions = OptionsOf<typeof SINK_OPTIONS>;

type Audience = "log" | "audit";

const CLOSE_MS = 5_000;
/** 64 MB for each sink. */
const SPOOL_BYTES = 64e6;

export function createSinks(settings: {
  readonly clock: Clock;
  readonly random: Random;
  readonly pause: Pause;
  readonly sendDatagram: SendDatagram;
  /** Asked for each time: a reload makes another. */
  readonly log: () => Pick<Logger, "info" | "warn">;
}): Sinks {
  const { log } = settings;
  let open: Readonly<Record<Audience, ReadonlyMap<string, Delivery>>> = { log: new Map(), audit: new Map() };
  /** Those that options have no more, while they send what they have. */
  const leaving = new Set<Promise<void>>();

  function transportOf(address: SinkAddress, audience: Audience): Transport {
    const onTrouble = (reason: string) =>
      log().warn("a log file is not tidied", { sink: address.name, reason });
    return lazily(async () => {
      const { openTransport } = await import("./transports.ts");
      return openTransport(address, audience, { ...settings, onTrouble });
    });
  }

  function deliveryTo(address: SinkAddress, audience: Audience, spool: string): Delivery {
    // A hash, since the URL may hold a secret and is no file name.
    const id = new Bun.CryptoHasher("sha256").update(address.text).digest("hex").slice(0, 16);
    return createDelivery({
      ...{ ...settings, transport: transportOf(address, audience) },
      // The log may go to the same place.
      name: audience === "audit" ? `${address.name} (audit)` : address.name,
      spool:
        audience === "audit"
          ? createSpool({ ...settings, directory: join(spool, id), limit: SPOOL_BYTES })
          : undefined,
    });
  }

  function renew(
    audience: Audience,
    addresses: readonly SinkAddress[],
    spool: string,
  ): ReadonlyMap<string, Delivery> {
    const before = open[audience];
    const next = new Map(
      addresses.map((one) => [one.text, before.get(one.text) ?? deliveryTo(one, audience, spool)] as const),
    );
    for (const [text, delivery] of before) {
      if (next.has(text)) continue;
      const closed: Promise<void> = delivery.close(CLOSE_MS).finally(() => leaving.delete(closed));
      leaving.add(closed);
    }
    return next;
  }

  const all = () => [...open.log.values(), ...open.audit.values()];

  return {
    log(line) {
      for (const delivery of open.log.values()) delivery.add(line);
    },
    audit(line) {
      for (const delivery of open.audit.values()) delivery.add(line);
    },
    use({ logSinks, auditSinks, auditSpool }) {
      open = { log: renew("log", logSinks, auditSpool), audit: renew("audit", auditSinks, auditSpool) };
    },
    reopen() {
      for (const delivery of all()) delivery.reopen();
    },
    async close() {
      await Promise.all([...leaving, ...all().map((delivery) => delivery.close(CLOSE_MS))]);
    },
    states: () => all().map((delivery) => delivery.state()),
  };
}

/** Loaded and opened with the first lines, since most have none of it. */
function lazily(open: () => Promise<Transport>): Transport {
  let opened: Promise<Transport> | undefined;
  const get = () => {
    opened ??= open();
    return opened;
  };
  return {
    send: async (lines, signal) => (await get()).send(lines, signal),
    reopen: () => void opened?.then((one) => one.reopen?.()),
    close: async () => (await opened)?.close(),
  };
}
