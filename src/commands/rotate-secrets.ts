import { rmSync } from "node:fs";
import { systemClock, systemRandom } from "../clock.ts";
import { type Access, loadAccess } from "../config/configuration.ts";
import { addLine, removeLine, renameLine, writtenAs } from "../config/env-edit.ts";
import { parseEnvFile } from "../config/env-file.ts";
import { findEnvFile } from "../config/load.ts";
import { ENV_FILE, OPTIONS, type OptionKey } from "../config/options.ts";
import { ControlError, connectControl } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import { ConfigError } from "../option/finding.ts";
import type { Io } from "../process/io.ts";
import { asOwnerOf } from "../rights.ts";
import type { RotationStanding } from "../rotation/api.ts";
import { longestLife } from "../rotation/life.ts";
import { freshJwtSecret, freshSessionKey } from "../secret/values.ts";
import { failed, type Outcome } from "./command.ts";
import { isUnreached, reach } from "./operate.ts";
import { isSystemError, readExisting, replaceFile } from "./replace-file.ts";

/**
 * Changing the secrets of an installation without anybody noticing: announce (where several machines share a store), rotate, and
 * finish. Where it is stands in the configuration itself, so it can be gone on with by hand, and by hand begun.
 */

const SECRETS = [
  { key: "jwtSecret", name: OPTIONS.jwtSecret.name, make: freshJwtSecret },
  { key: "sessionKey", name: OPTIONS.sessionKey.name, make: freshSessionKey },
] as const;

/** Which stores several machines may share: each has to know the new secrets before one of them uses them. */
const SHARED: ReadonlySet<string> = new Set(["postgres", "valkey"]);

const ROTATED = OPTIONS.secretsRotated.name;

/** What cannot be done, in words for the operator. */
class Impossible extends Error {}

/** A secret that can be written: a line of the env file, or a file that one names. */
type Place = (typeof SECRETS)[number] & { readonly file: string | undefined };

type Installation = {
  readonly access: Access;
  /** As the commands that follow are to see it. */
  readonly io: Io;
  /** The env file. */
  readonly path: string;
  readonly places: readonly Place[];
  /** By the suffix, whether any secret has it. */
  has(suffix: "Previous" | "Next"): boolean;
};

export async function rotateSecrets(named: string | undefined, now: boolean, given: Io): Promise<Outcome> {
  return sayImpossible(given, async () => {
    const here = look(named, given);
    const { options } = here.access;
    if (here.has("Previous")) {
      const due = dueOf(here);
      throw new Impossible(
        `A rotation is under way${due === undefined ? "" : `, and the secrets before may go at ${timeOf(due)}`}. ` +
          "Then: runegate secrets rotate --finish",
      );
    }
    const fresh = here.places.filter(({ key }) => options[`${key}Next`] === undefined);
    if (SHARED.has(options.store.kind) && !now && fresh.length > 0) {
      write(here, (text) => fresh.reduce(announce, text));
      given.out(`Announced: ${fresh.map(({ name }) => `${name}_NEXT`).join(", ")} in ${here.path}.`);
      const reloaded = await reload(here);
      given.out("Copy them to every other machine that shares the store, and reload there.");
      given.out("Then, on each machine: runegate secrets rotate");
      return outcome("announced", reloaded, {});
    }
    const time = systemClock.now();
    const later: (() => void)[] = [];
    write(here, (text) => {
      const changed = here.places.reduce((one, place) => change(one, place, options, later), text);
      return addLine(without(changed, ROTATED), ROTATED, timeOf(time));
    });
    for (const act of later) act();
    given.out(`New: ${here.places.map(({ name }) => name).join(", ")}. The ones before are accepted still.`);
    const reloaded = await reload(here);
    const due = time + longestLife(options);
    given.out(`They may go at ${timeOf(due)}: runegate secrets rotate --finish`);
    return outcome("rotated", reloaded, { may_finish_at: timeOf(due) });
  });
}

export async function finishRotation(named: string | undefined, force: boolean, given: Io): Promise<Outcome> {
  return sayImpossible(given, async () => {
    const here = look(named, given);
    if (here.has("Next"))
      throw new Impossible("A rotation is announced. Go on with: runegate secrets rotate");
    if (!here.has("Previous"))
      throw new Impossible("There are no secrets before these: nothing is to be taken out.");
    if (force) {
      // What can be taken over is, as far as that goes at once.
      await renewSeals(here).catch(() => undefined);
    } else {
      refuseEarly(here);
      await refuseNeeded(here);
    }
    const names = here.places.flatMap(({ name }) => [`${name}_PREVIOUS`, `${name}_PREVIOUS_FILE`]);
    const before = write(here, (text) => without(text, ...names, ROTATED));
    for (const name of names) {
      const file = name.endsWith("_FILE") ? before.get(name)?.value.trim() : undefined;
      if (file) asOwnerOf(file, () => rmSync(file, { force: true }));
    }
    given.out("The secrets before are gone.");
    return outcome("finished", await reload(here), {});
  });
}

function outcome(state: string, reloaded: Reloaded, more: object): Outcome {
  const data = { state, reloaded: reloaded === "reloaded", ...more };
  return reloaded === "refused" ? { data, code: EXIT.failed } : { data };
}

async function sayImpossible(io: Io, work: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Impossible || isUnreached(error))
      return failed(io, `runegate secrets: ${error.message}`);
    if (!isSystemError(error)) throw error;
    const file = "path" in error ? String(error.path) : "A file";
    return failed(
      io,
      `runegate secrets: ${file} cannot be written: ${error.code}. Where configuration is read-only, change it where it is ` +
        "written: the guide says how, under New secrets.",
    );
  }
}

/** @throws {Impossible} if this command cannot change the secrets, {ConfigError} if the configuration is wrong. */
function look(named: string | undefined, given: Io): Installation {
  const io = named === undefined ? given : { ...given, env: { ...given.env, [ENV_FILE.name]: named } };
  const access = loadAccess(io);
  const path = findEnvFile(io);
  if (path === undefined)
    throw new Impossible("There is no env file to write to. Say which: --env-file FILE");
  const { entries, warnings } = parse(readExisting(path).before.toString("utf8"), path);
  const twice = warnings.find(({ option }) => SECRETS.some(({ name }) => option.startsWith(name)));
  if (twice !== undefined) throw new Impossible(`${twice.option} ${twice.problem}. ${twice.remedy}`);
  const valueIn = (name: string) => entries.get(name)?.value.trim() || undefined;
  function mustBeHere(key: OptionKey): void {
    const { name } = OPTIONS[key];
    const { source } = access.sources[key];
    if (source.startsWith(`${path}:`) || source === valueIn(`${name}_FILE`)) return;
    throw new Impossible(
      `${name} is not from ${path} (${source}), so it is to be changed where it comes from: the guide says how, under ` +
        "New secrets.",
    );
  }
  const places = SECRETS.map((secret): Place => {
    const { name, key } = secret;
    if (!access.sources[key].given) {
      throw new Impossible(
        `${name} is not set, so each start has another one. First: runegate secrets --env-file ${path}`,
      );
    }
    for (const one of [key, `${key}Previous`, `${key}Next`] as const)
      if (access.sources[one].given) mustBeHere(one);
    return { ...secret, file: valueIn(`${name}_FILE`) };
  });
  const has = (suffix: "Previous" | "Next") =>
    SECRETS.some(({ key }) => access.options[`${key}${suffix}`] !== undefined);
  return { access, io, path, places, has };
}

function parse(text: string, path: string) {
  const parsed = parseEnvFile(text, path);
  if (parsed.problems.length > 0) throw new ConfigError(parsed.problems);
  return parsed;
}

/** Changes the env file. @returns what was in it before. */
function write({ path }: Installation, edit: (text: string) => string) {
  return asOwnerOf(path, () => {
    const existing = readExisting(path);
    const text = existing.before.toString("utf8");
    const { entries } = parse(text, path);
    replaceFile(existing, Buffer.from(edit(text)));
    return entries;
  });
}

/** A new secret beside the present one, which goes on. */
function announce(text: string, { name, file, make }: Place): string {
  const fresh = make(systemRandom);
  const lines = without(text, `${name}_NEXT`, `${name}_NEXT_FILE`);
  if (file === undefined) return addLine(lines, `${name}_NEXT`, fresh, name);
  const next = beside(file, "next");
  writeBeside(file, next, Buffer.from(`${fresh}\n`));
  return addLine(lines, `${name}_NEXT_FILE`, lineOf(next), `${name}_FILE`);
}

/**
 * The announced secret, or a new one, in the place of the present one, which becomes the one before.
 * @param later gets what is to be done once the env file is written, which must accept the one before by then.
 */
function change(text: string, place: Place, options: Access["options"], later: (() => void)[]): string {
  const { name, key, file, make } = place;
  const isAnnounced = options[`${key}Next`] !== undefined;
  const lines = without(text, `${name}_PREVIOUS`, `${name}_PREVIOUS_FILE`);
  if (file === undefined) {
    const moved = renameLine(lines, name, `${name}_PREVIOUS`);
    return isAnnounced
      ? renameLine(moved, `${name}_NEXT`, name)
      : addLine(moved, name, make(systemRandom), `${name}_PREVIOUS`);
  }
  const [next, previous] = [beside(file, "next"), beside(file, "previous")];
  const fresh = isAnnounced ? readExisting(next).before : Buffer.from(`${make(systemRandom)}\n`);
  writeBeside(file, previous, readExisting(file).before);
  later.push(() => {
    writeBeside(file, file, fresh);
    if (isAnnounced) asOwnerOf(next, () => rmSync(next, { force: true }));
  });
  return addLine(
    without(lines, `${name}_NEXT_FILE`),
    `${name}_PREVIOUS_FILE`,
    lineOf(previous),
    `${name}_FILE`,
  );
}

function without(text: string, ...names: readonly string[]): string {
  return names.reduce(removeLine, text);
}

const beside = (file: string, what: "next" | "previous") => `${file}.${what}`;

function lineOf(path: string): string {
  const written = writtenAs(path);
  if (written === undefined) throw new Impossible(`${path} has a name that an env file cannot say.`);
  return written;
}

/** With the mode and owner of the secret's own file, and by the rights of whoever owns that. */
function writeBeside(file: string, path: string, content: Uint8Array): void {
  asOwnerOf(file, () => {
    const { mode, owner, path: real } = readExisting(file);
    replaceFile({ path: path === file ? real : path, mode, owner }, content);
  });
}

type Reloaded = "reloaded" | "not running" | "refused";

async function reload({ access, io }: Installation): Promise<Reloaded> {
  const { controlSocket } = access.options;
  if (controlSocket === undefined) {
    io.out("RUNEGATE_CONTROL_SOCKET is off: reload the instance that runs, with SIGHUP.");
    return "not running";
  }
  try {
    await connectControl(controlSocket).reload();
    io.out("The running instance goes on with that.");
    return "reloaded";
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    if (error.code === "not_running") {
      io.out("No instance runs here that could be told; the next start goes by it.");
      return "not running";
    }
    io.err(`The running instance has not reloaded, and goes on as before: ${error.message}`);
    io.err("Mend that, and then: systemctl reload runegate");
    return "refused";
  }
}

/** When nothing can be about any more that was made before; undefined where nobody noted when that was. */
function dueOf({ access: { options } }: Installation): number | undefined {
  return options.secretsRotated === undefined ? undefined : options.secretsRotated + longestLife(options);
}

function refuseEarly(here: Installation): void {
  const due = dueOf(here);
  if (due === undefined) {
    throw new Impossible(
      `${ROTATED} does not say when the secrets were changed. If that is longer ago than sessions last: --finish --force`,
    );
  }
  if (systemClock.now() >= due) return;
  throw new Impossible(
    `Too early: sessions and links of before may be about until ${timeOf(due)}. With --force they end now.`,
  );
}

/** Has everything sealed anew that can be. @returns what cannot be. */
async function renewSeals({ access, io }: Installation): Promise<RotationStanding> {
  return reach(io, (operator) => operator.renewSeals()).catch((error: unknown) => {
    const isNowhere = error instanceof ControlError && error.code === "not_running";
    // Nothing is kept anywhere, so nothing needs them.
    if (isNowhere && access.options.store.kind === "memory") return { rotated: true, items: [] };
    throw error;
  });
}

async function refuseNeeded(here: Installation): Promise<void> {
  const standing = await renewSeals(here);
  if (!standing.rotated)
    throw new Impossible("The running instance does not know of the change yet: systemctl reload runegate");
  const left = standing.items.filter((one) => one.left > 0);
  if (left.length === 0) return;
  const words = left.map(({ what, left: count, left_until: until }) => `${count} ${what} until ${until}`);
  throw new Impossible(`They are still needed: ${words.join(", ")}. With --force these end now.`);
}

function timeOf(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
