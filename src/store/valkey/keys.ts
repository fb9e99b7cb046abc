/**
 * Every key of Runegate's. All carry one hash tag, so that a cluster keeps them in one slot and a script may touch any of
 * them (Redis cluster specification, "hash tags").
 */
const TAG = "{runegate}";

/** Written now and then to see that the server takes writes. */
export const PROBE = `${TAG}:probe`;

/** One string a spent ticket. */
export const ticketKey = (jti: string) => `${TAG}:ticket:${jti}`;

/** Since when everything is here: a server that has lost it all has lost this too. */
export const SINCE = `${TAG}:since`;

/** One list a limit key: when its latest hits were. */
export const limitKey = (key: string) => `${TAG}:limit:${key}`;

/** Records by id, ids by when they expire, and `address LF id` in alphabetical order. */
export const SESSIONS = [`${TAG}:sessions`, `${TAG}:sessions:expiry`, `${TAG}:sessions:addresses`] as const;

/** A note that is kept for as long as the server lasts. */
export const SESSIONS_NOTE = `${TAG}:sessions:note`;

/** Entries by id, their places by when they fall due, the number of the last one queued, and the places of those that go first. */
export const OUTBOX = [
  `${TAG}:outbox`,
  `${TAG}:outbox:due`,
  `${TAG}:outbox:count`,
  `${TAG}:outbox:first`,
] as const;

/** Channels know no database numbers, so the number is in the name. */
export const endedChannel = (database: string) => `${TAG}:ended:${database}`;

/** Of a kind of records, as `records.ts` lists them. */
export const recordKeys = (name: string, by: readonly string[]) =>
  [
    `${TAG}:r:${name}`,
    `${TAG}:r:${name}:expiry`,
    `${TAG}:r:${name}:order`,
    `${TAG}:r:${name}:swept`,
    ...by.map((field) => `${TAG}:r:${name}:by:${field}`),
  ] as [string, string, string, string, ...string[]];
