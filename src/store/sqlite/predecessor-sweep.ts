import type { Clock } from "../../clock.ts";
import type { SqliteHandle } from "./handle.ts";
import { LEAVE_BEHIND, TAKE_OVER_STEP } from "./predecessor.ts";
import type { Sweep } from "./sweeper.ts";

const HOUR_MS = 3_600_000;

/**
 * Removes the older tables an hour after they were taken over, some rows at a time: all of a large table at once would take
 * seconds.
 */
export function createPredecessorSweep({ database, read, write }: SqliteHandle, clock: Clock): Sweep {
  const single = (sql: string) => read(() => database.query<{ value: number }, []>(sql).get())?.value;
  const isDone = () => single("SELECT 1 AS value FROM sqlite_schema WHERE name = 'sessions'") === undefined;
  const forget = (table: string, key: string, most: number) =>
    database.run(`DELETE FROM ${table} WHERE ${key} IN (SELECT ${key} FROM ${table} LIMIT ${most})`).changes;
  let done = isDone();
  const takenOver =
    single(`SELECT applied_at AS value FROM schema_version WHERE version = ${TAKE_OVER_STEP}`) ?? 0;

  const sweep = database.transaction((most: number): boolean => {
    if (isDone()) return false;
    database.run("DROP TRIGGER IF EXISTS older_end");
    if (forget("sessions", "id", most) + forget("tickets", "jti", most) > 0) return true;
    database.run(LEAVE_BEHIND);
    return false;
  });

  return (most) => {
    if (done || clock.now() < takenOver + HOUR_MS) return false;
    const more = write(() => sweep.immediate(most));
    done = !more;
    return more;
  };
}
