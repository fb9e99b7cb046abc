import { type Database, SQLiteError } from "bun:sqlite";
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type { Random } from "../../clock.ts";
import { MIB } from "../../option/values.ts";
import { asOwnerOf, haveOneOwner } from "../../rights.ts";
import { StoreUnavailable } from "../records.ts";
import { describeFailure } from "./failure.ts";
import { checkContents, contentsOf } from "./migrations.ts";
import { connect } from "./open.ts";
import { PREDECESSORS } from "./predecessor.ts";

/** What a backup holds. */
export type Backup = {
  readonly bytes: number;
  readonly schema: number;
  /** How many of each kind. */
  readonly records: Readonly<Record<string, number>>;
};

const OWNER_ONLY = 0o600;
const BUSY_TIMEOUT_MS = 10_000;

/**
 * Writes the database at `source`, as it is at one moment, to a new file at `target`, while others go on using it. The file is
 * its owner's alone, is checked, and is on the disk and whole when it appears under its name.
 *
 * Where the two places belong to different users, as when root makes a backup of the service's database, SQLite makes the copy
 * beside the database with its owner's rights, and what is done with the target's is to write bytes.
 * @throws {StoreUnavailable} with what to do about it; nothing is left behind then.
 */
export function backUp(source: string, target: string, random: Random): Backup {
  const suffix = `${Buffer.from(random.bytes(6)).toString("hex")}.tmp`;
  const temporary = `${target}.${suffix}`;
  const copied = haveOneOwner(source, target) ? temporary : `${source}.${suffix}`;
  const inSource = <T>(work: () => T) => asOwnerOf(source, work);
  const inTarget = <T>(work: () => T) => asOwnerOf(target, work);
  if (!inSource(() => existsSync(source))) {
    throw new StoreUnavailable(`Nothing is kept yet: there is no ${source}.`);
  }
  if (inTarget(() => lstatSync(target, { throwIfNoEntry: false })) !== undefined) {
    throw new StoreUnavailable(`${target} is there already, and nothing is overwritten. Name a new file.`);
  }
  let written = copied;
  try {
    const held = inSource(() => {
      // SQLite fills an empty file as it would make a new one, which would be open to others.
      closeSync(openSync(copied, "wx", OWNER_ONLY));
      const schema = copy(source, copied);
      return { schema, records: inspect(copied) };
    });
    written = target;
    if (copied !== temporary)
      transfer(
        inSource(() => openSync(copied, "r")),
        () => inTarget(() => openSync(temporary, "wx", OWNER_ONLY)),
      );
    return inTarget(() => {
      sync(temporary);
      const bytes = statSync(temporary).size;
      renameSync(temporary, target);
      sync(dirname(target));
      return { bytes, ...held };
    });
  } catch (error) {
    inTarget(() => rmSync(temporary, { force: true }));
    throw inWords(error, written);
  } finally {
    if (copied !== temporary) inSource(() => rmSync(copied, { force: true }));
  }
}

const CHUNK_BYTES = MIB;

/** Takes the bytes of one open file to another, whoever may open which. Closes both. */
function transfer(from: number, open: () => number): void {
  try {
    const to = open();
    try {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      for (let read = readSync(from, chunk); read > 0; read = readSync(from, chunk)) {
        for (let done = 0; done < read; ) done += writeSync(to, chunk, done, read - done);
      }
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}

function copy(source: string, target: string): number {
  const database = connect(source, BUSY_TIMEOUT_MS);
  try {
    const contents = contentsOf(database);
    checkContents(contents, source);
    if (contents.kind !== "ours") throw new StoreUnavailable(`Nothing is kept yet in ${source}.`);
    database.prepare("VACUUM INTO ?").run(target);
    return contents.version;
  } finally {
    database.close(true);
  }
}

function inspect(path: string): Backup["records"] {
  const database = connect(path, 0);
  try {
    const verdict = database.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get()?.quick_check;
    if (verdict !== "ok") throw new StoreUnavailable(`The copy is damaged: ${verdict}.`);
    const tables = database
      .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'table'")
      .all();
    const records: Record<string, number> = {};
    for (const { name } of tables) {
      if (name.startsWith("records_")) records[name.slice("records_".length)] = count(database, name);
    }
    for (const [kind, name] of Object.entries(PREDECESSORS)) {
      if (tables.some((table) => table.name === name)) records[kind] ??= count(database, name);
    }
    return records;
  } finally {
    database.close(true);
  }
}

function count(database: Database, table: string): number {
  return database.query<{ rows: number }, []>(`SELECT count(*) AS rows FROM ${table}`).get()?.rows ?? 0;
}

/** A file's content, or a directory's names. */
function sync(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function inWords(error: unknown, target: string): unknown {
  if (error instanceof SQLiteError) {
    // Of the two disks it is the one written to.
    if (error.code === "SQLITE_FULL") return new StoreUnavailable(`The disk of ${target} is full.`);
    return new StoreUnavailable(`${target} could not be written: ${describeFailure(error)}`, {
      cause: error,
    });
  }
  if (error instanceof Error && "code" in error && "errno" in error) {
    return new StoreUnavailable(
      `${target} cannot be written: ${error.code}. Its directory must be there, and you must be allowed to write to it.`,
      { cause: error },
    );
  }
  return error;
}
