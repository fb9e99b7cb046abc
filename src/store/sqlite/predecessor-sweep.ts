import type { Clock } from "../../clock.ts";
import type { SqliteHandle } from "./handle.ts";
import { LEAVE_BEHIND, TAKE_OVER_STEP } from "./predecessor.ts";
import type { Sweep } from "./sweeper.ts";

const HOUR_MS = 3_600_000;

/** Removes the tables of the version before an hour after they were taken over, some rows at a time: all of a large table at once would take seconds. */
export function createPredecessorSweep({ durable, read, write }: SqliteHandle, clock: Clock): Sweep {
  const single = (sql: string) => read(() => durable.prepare<{ value: number }, []>(sql).get())?.value;
  let done = single("SELECT 1 AS value FROM sqlite_schema WHERE name = 'sessions'") === undefined;
  const takenOver =
    single(`SELECT applied_at AS value FROM schema_version WHERE version = ${TAKE_OVER_STEP}`) ?? 0;

  const sweep = durable.transaction((most: number): boolean => {
    if (single("SELECT 1 AS value FROM sqlite_schema WHERE name = 'sessions'") === undefined) return false;
    durable.run("DROP TRIGGER IF EXISTS older_end");
    const gone = [
      ["sessions", "id"],
      ["tickets", "jti"],
    ].map(
      ([name, key]) =>
        durable.run(`DELETE FROM ${name} WHERE ${key} IN (SELECT ${key} FROM ${name} LIMIT ${most})`).changes,
    );
    if (gone.some((rows) => rows > 0)) return true;
    durable.run(LEAVE_BEHIND);
    return false;
  });

  return (most) => {
    if (done || clock.now() < takenOver + HOUR_MS) return false;
    const more = write(() => sweep.immediate(most));
    done = !more;
    return more;
  };
}
