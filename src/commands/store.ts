import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { systemClock } from "../clock.ts";
import { readAccess } from "../config/configuration.ts";
import { ControlError, connectControl } from "../control/client.ts";
import type { WantedCopy } from "../control/copy.ts";
import { KINDS } from "../control/kinds.ts";
import { EXIT } from "../exit.ts";
import { messageOf } from "../observe/message-of.ts";
import { describe, type Finding } from "../option/finding.ts";
import { ValueError } from "../option/value-error.ts";
import { SECOND } from "../option/values.ts";
import type { Io } from "../process/io.ts";
import { asOwnerOf, haveOneOwner } from "../rights.ts";
import type { Contents } from "../store/contents.ts";
import { type Counts, copyStore, countStore } from "../store/copy.ts";
import { DEFAULT_SCHEMA, type StoreLocation, storeLocation } from "../store/location.ts";
import { type KeptLocation, loadContents } from "../store/open-contents.ts";
import { StoreUnavailable } from "../store/records.ts";
import { type Command, failed, type Outcome, UsageError } from "./command.ts";
import { table } from "./table.ts";

const FLAGS = { replace: { type: "boolean" }, "from-schema": { type: "string" } } as const;
/** As a place: that of the running instance. */
const MEMORY = "memory";
/** As a place: the store of the options. */
const CONFIGURED = "RUNEGATE_STORE";
const TOLD_EVERY_MS = 2 * SECOND;
/** Sessions, links and limits go by the time, and so by all clocks. */
const CLOCK_TOLERANCE_MS = 2 * SECOND;

/** `runegate store`: what a store is like, and moving to another. */
export const store: Command<typeof FLAGS> = {
  name: "store",
  summary: "look at a store, or copy all of it to another",
  help: `Usage: runegate store check [STORE]
       runegate store copy [--replace] FROM TO

  check   says what keeps the store, whether it can be written, how long a round
          trip takes, how its clock differs, whether it outlives a restart, and
          what is in it, of each kind
  copy    puts all of FROM into TO: sessions, spent links, people, keys, audit,
          mail that waits, limits. Stop every gateway of both before, and start
          them with RUNEGATE_STORE=TO after it, with the same secrets: sessions
          go on, links that were not used are good, used ones are not. FROM
          stays as it is. Both are compared before anything counts. If it
          fails, TO is as before, or (Valkey) takes no gateway until it was
          copied to the end: repeat it with --replace

A STORE is written as in RUNEGATE_STORE; RUNEGATE_STORE itself stands for the
configured one, and is what is checked if none is named. One with a password
does not belong on a command line: @FILE names a file that holds it. For copy,
memory is the store of the instance that runs here, which copies it with its
own rights (RUNEGATE_CONTROL_SOCKET), and from then on answers 503 until it is
started on TO: nothing that it did later would be there.

  --replace             what is in TO is deleted first; without it, TO must be empty
  --from-schema NAME    of FROM, where it is a PostgreSQL database and another
                        than RUNEGATE_STORE_SCHEMA

Exit codes: ${EXIT.done} done, ${EXIT.failed} not done or something is wrong, and what.

Example: runegate store copy RUNEGATE_STORE @/etc/runegate/new-store`,

  readsOptions: true,
  flags: FLAGS,
  words: ["check", "copy"],
  takes: { least: 1, most: 3, what: "check or copy, and stores" },

  async run({ values, words: [verb = "", ...places] }, io) {
    const { options } = readAccess(io);
    const configured = options.store ?? { kind: "memory" };
    const schema = options.storeSchema ?? DEFAULT_SCHEMA;
    const locate = (place: string) => keptLocation(place, configured);
    try {
      if (verb === "check") {
        if (places.length > 1 || values.replace || values["from-schema"] !== undefined)
          throw new UsageError("store check takes one store.");
        return await checkStore(locate(places[0] ?? CONFIGURED), schema, io);
      }
      const [from, to, ...more] = places;
      if (verb !== "copy") throw new UsageError(`there is no "store ${verb}".`);
      if (from === undefined || to === undefined || more.length > 0)
        throw new UsageError("store copy takes two stores.");
      const replace = values.replace === true;
      const isMemory = (place: string) =>
        place === MEMORY || (place === CONFIGURED && configured.kind === "memory");
      const way = isMemory(from) ? "from memory" : isMemory(to) ? "to memory" : undefined;
      if (way !== undefined) {
        const other = locate(way === "from memory" ? to : from);
        const at = way === "to memory" ? (values["from-schema"] ?? schema) : schema;
        return await copyInstance({ way, other, schema: at, replace }, options.controlSocket, io);
      }
      const source = { at: locate(from), schema: values["from-schema"] ?? schema };
      return await copy(source, { at: locate(to), schema }, replace, io);
    } catch (error) {
      if (error instanceof ControlError) return failed(io, `runegate store: ${error.message}`);
      if (error instanceof StoreUnavailable) return failed(io, `runegate store: ${error.message}`);
      throw error;
    }
  },
};

type Place = { readonly at: KeptLocation; readonly schema: string };

/** @throws {UsageError} */
function keptLocation(place: string, configured: StoreLocation): KeptLocation {
  const location = place === CONFIGURED ? configured : parsed(place);
  if (location.kind !== "memory") return location;
  throw new UsageError(
    "a memory store is inside the process of its gateway: it can be copied, by the instance that runs here, and not looked at.",
  );
}

/** The running instance does it, since nobody else can look into its memory. */
async function copyInstance(wanted: WantedCopy, socket: string | undefined, io: Io): Promise<Outcome> {
  if (socket === undefined)
    throw new ControlError("RUNEGATE_CONTROL_SOCKET is off, so the running instance cannot be reached.");
  const { way, other } = wanted;
  const place = shown(other);
  // The instance may be in another directory.
  const placed = other.kind === "sqlite" ? { ...other, path: resolve(other.path) } : other;
  let counts: Counts;
  try {
    counts = await connectControl(socket).copyMemory({ ...wanted, other: placed });
  } catch (error) {
    if (!(error instanceof ControlError && error.code === "not_found")) throw error;
    throw new ControlError("The running instance does not keep its state in memory.");
  }
  io.out(tableOf(counts));
  io.out(
    way === "to memory"
      ? `All of it was copied from ${place} into the running instance, and compared.`
      : `All of it was copied to ${place}, and compared. The instance answers 503 now: restart it on that.`,
  );
  return { data: { ...(way === "to memory" ? { from: place } : { to: place }), records: counts } };
}

function parsed(place: string): StoreLocation {
  let text = place;
  if (place.startsWith("@")) {
    try {
      text = readFileSync(place.slice(1), "utf8").trim();
    } catch (error) {
      throw new UsageError(`${place.slice(1)} cannot be read: ${messageOf(error)}.`);
    }
  }
  let location: StoreLocation;
  try {
    location = storeLocation(text);
  } catch (error) {
    if (error instanceof ValueError) throw new UsageError(`the store ${error.message}`);
    throw error;
  }
  if (text === place && hasPassword(location))
    throw new UsageError(
      "a URL with a password shows it to everybody on this machine, in the list of processes. Write it into a file, " +
        "and name that: @FILE.",
    );
  return location;
}

function hasPassword(location: StoreLocation): boolean {
  if (location.kind === "postgres") return location.place.password !== "";
  return location.kind === "valkey" && new URL(location.url).password !== "";
}

const shown = (location: KeptLocation) =>
  location.kind === "sqlite" ? `sqlite:${location.path}` : location.shown;

/** With the rights of whoever a database file belongs to. */
function withRights<T>(locations: readonly KeptLocation[], work: () => Promise<T>): Promise<T> {
  const paths = locations.flatMap((one) => (one.kind === "sqlite" ? [one.path] : []));
  const [first, second = first] = paths;
  if (first === undefined || second === undefined) return work();
  if (!haveOneOwner(first, second))
    throw new StoreUnavailable(
      "The two files belong to different users: copy into a folder of the first one's.",
    );
  return asOwnerOf(first, work);
}

async function checkStore(at: KeptLocation, schema: string, io: Io): Promise<Outcome> {
  const open = await loadContents(at);
  return withRights([at], async () => {
    const contents = await open({ clock: systemClock, schema, made: false });
    try {
      const began = systemClock.monotonic();
      const look = await contents.look();
      const ms = systemClock.monotonic() - began;
      const { server, layout, ahead = 0, survivesRestart, findings } = look;
      const counts = await countStore(contents, KINDS, systemClock.now());
      const all = [...findings, ...clockFindings(ahead)];
      const since = await contents.since();
      io.out(`${shown(at)}: ${server}, layout ${layout}, read and written in ${ms.toFixed(1)} ms.`);
      if (since !== undefined) io.out(`It remembers everything since ${new Date(since).toISOString()}.`);
      if (survivesRestart !== undefined)
        io.out(survivesRestart ? "It outlives a restart." : "It does not outlive a restart.");
      if (look.ahead !== undefined) io.out(`Its clock is ${difference(ahead)}.`);
      io.out(tableOf(counts));
      for (const finding of all) io.out(`warning: ${describe(finding)}`);
      const code = all.length === 0 ? EXIT.done : EXIT.failed;
      const facts = { server, layout, ahead_ms: look.ahead, survives_restart: survivesRestart, took_ms: ms };
      return {
        code,
        data: { ok: all.length === 0, store: shown(at), ...facts, since, records: counts, warnings: all },
      };
    } finally {
      await contents.close();
    }
  });
}

function clockFindings(ahead: number): Finding[] {
  if (Math.abs(ahead) <= CLOCK_TOLERANCE_MS) return [];
  const problem = `has a clock that is ${difference(ahead)}`;
  return [{ option: "the store", problem, remedy: "Let both machines keep time by NTP." }];
}

function difference(ahead: number): string {
  if (Math.abs(ahead) < 10) return "the same as here";
  return `${Math.abs(ahead)} ms ${ahead > 0 ? "ahead of" : "behind"} this machine's`;
}

async function copy(source: Place, target: Place, replace: boolean, io: Io): Promise<Outcome> {
  const [from, to] = [shown(source.at), shown(target.at)];
  if (from === to && (source.at.kind !== "postgres" || source.schema === target.schema))
    throw new UsageError("FROM and TO are the same store.");
  const [openFrom, openTo] = [await loadContents(source.at), await loadContents(target.at)];
  return withRights([source.at, target.at], async () => {
    const opened: Contents[] = [];
    try {
      const keep = (contents: Contents) => {
        opened.push(contents);
        return contents;
      };
      const one = keep(await openFrom({ clock: systemClock, schema: source.schema, made: false }));
      const other = keep(await openTo({ clock: systemClock, schema: target.schema, made: true }));
      const counts = await copyStore(one, other, {
        kinds: KINDS,
        replace,
        clock: systemClock,
        tell: progress(io),
      });
      io.out(tableOf(counts));
      io.out(`All of it was copied from ${from} to ${to}, and compared. Start the gateways on that.`);
      return { data: { from, to, records: counts } };
    } finally {
      for (const contents of opened) await contents.close();
    }
  });
}

/** Says on standard error how far it is, where that takes a while. */
function progress(io: Io): (what: string, count: number) => void {
  let told = systemClock.monotonic();
  return (what, count) => {
    if (systemClock.monotonic() - told < TOLD_EVERY_MS) return;
    told = systemClock.monotonic();
    io.err(`${what}: ${count} so far`);
  };
}

function tableOf(counts: Counts): string {
  const rows = Object.entries(counts).map(([kind, count]) => [kind, `${count}`]);
  return rows.length === 0 ? "Nothing is kept in it." : table([["KIND", "RECORDS"], ...rows]);
}
