/**
 * Every key of Runegate's. All carry one hash tag, so that a cluster keeps them in one slot and a script may touch any of
 * them (Redis cluster specification, "hash tags").
 */
export const TAG = "{runegate}";

/** Written now and then to see that the server takes writes. */
export const PROBE = `${TAG}:probe`;

/** Since when everything is here: a server that has lost it all has lost this too. */
export const SINCE = `${TAG}:since`;

/** That another store's contents are being put here, or were and not all of them: no gateway starts on it. */
export const COPYING = `${TAG}:copying`;

/** One list a limit key: when its latest hits were. */
export const limitKey = (key: string) => `${TAG}:limit:${key}`;

/** One string a record of a kind that comes once. */
export const markKey = (kind: string, id: string) => `${TAG}:${kind}:${id}`;

/** Of any other kind of records, as `records.ts` lists them. */
export const recordKeys = (kind: string, by: readonly string[]) =>
  [
    `${TAG}:r:${kind}`,
    `${TAG}:r:${kind}:expiry`,
    `${TAG}:r:${kind}:order`,
    ...by.map((field) => `${TAG}:r:${kind}:by:${field}`),
  ] as [string, string, string, ...string[]];

/** Where it is told what was taken. Channels know no database numbers, so the number is in the name. */
export const takenChannel = (database: string) => `${TAG}:taken:${database}`;
