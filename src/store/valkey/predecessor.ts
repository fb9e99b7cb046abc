import type { Clock } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import { type Kind, StoreOlder } from "../records.ts";
import { SINCE, TAG } from "./keys.ts";
import { createValkeyRecords } from "./records.ts";
import type { Run } from "./script.ts";

/**
 * Takes over what the version before records kept on a server: sessions once, before anything is answered, and waiting mails as
 * long as there are any. Which links were used stands where it always stood. To be removed with the next release but one.
 *
 * Gateways of the older version that still run go on with a copy of the sessions for an hour. What begins or ends at one of
 * them after that is not known here, nor the other way round; of a link they agree that it was used.
 */
const OLD_SESSIONS = `${TAG}:sessions`;
const OLD_MAILS = `${TAG}:outbox`;
const OLD_DUE = `${TAG}:outbox:due`;
/** That sessions have been taken over. */
export const DONE = `${TAG}:taken-over`;
/** Held by the gateway that is at it. */
const LOCK = `${TAG}:taking-over`;
const LOCK_MS = 10_000;
const LOOK_AGAIN_MS = 50;
const HOUR_MS = 3_600_000;
/** So many at a time, between which others are served. */
const PAGE_SIZE = 500;

type Kept = { readonly [field: string]: unknown };
const SESSIONS: Kind<Kept> = { name: "session", by: ["email"] };
const MAILS: Kind<Kept> = { name: "mail", order: "turn" };

/** @param settings asIs: it is not taken over, but refused. @throws {StoreUnavailable} and goes on with it when called again. */
export async function takeOver(
  { run, channel }: { readonly run: Run; readonly channel: string },
  { clock, log, asIs }: { readonly clock: Clock; readonly log: Logger; readonly asIs: boolean },
): Promise<void> {
  const link = { run, channel, name: "", onMessage() {} };
  const sessions = createValkeyRecords(SESSIONS, { link, clock, log });
  const mails = createValkeyRecords(MAILS, { link, clock, log });
  const exists = async (key: string) => Number(await run("EXISTS", [key])) === 1;

  async function takeSessions(): Promise<void> {
    let count = 0;
    for await (const page of pagesOf(run, OLD_SESSIONS)) {
      const added = page.map(async ([id, value]) => {
        const [seenAt = "", email = "", ...json] = value.split("\n");
        const rest = objectOf(json.join("\n"));
        const record = { email, seal: "", ...rest, expiresAt: undefined, seenAt: Number(seenAt) };
        return sessions.add(id, record, Number(rest.expiresAt) || 0);
      });
      count += (await Promise.all(added)).filter(Boolean).length;
    }
    // Links were issued before there was a key for it.
    if (count > 0 || (await exists(OLD_MAILS))) await run("SET", [SINCE, "0"]);
    for (const suffix of ["", ":expiry", ":addresses"]) {
      await run("PEXPIRE", [OLD_SESSIONS + suffix, String(HOUR_MS)]);
    }
    await run("SET", [DONE, ""]);
    if (count > 0) log.info("took over the sessions of an older version", { sessions: count });
  }

  async function takeMails(): Promise<void> {
    for await (const page of pagesOf(run, OLD_MAILS)) {
      for (const [id, value] of page) {
        const [attempts = "", place = "", ...json] = value.split("\n");
        const { subject, text, html, ...rest } = objectOf(json.join("\n"));
        const turn = Number((await run("ZSCORE", [OLD_DUE, place])) ?? clock.now());
        const content = JSON.stringify({ subject, text, html });
        const gone = Number(rest.expiresAt) + 30 * 24 * HOUR_MS || 0;
        if (gone === 0) log.error("a waiting mail that cannot be read was dropped", { id });
        await mails.add(id, { content, ...rest, attempts: Number(attempts), turn }, gone);
        await run("HDEL", [OLD_MAILS, id]);
        await run("ZREM", [OLD_DUE, place]);
      }
    }
  }

  for (;;) {
    const done = await exists(DONE);
    if (done && !(await exists(OLD_MAILS))) return;
    if (asIs) {
      if (!done && (await exists(OLD_SESSIONS))) throw new StoreOlder();
      return;
    }
    if ((await run("SET", [LOCK, "", "NX", "PX", String(LOCK_MS)])) === "OK") {
      try {
        if (!done) await takeSessions();
        return await takeMails();
      } finally {
        await run("DEL", [LOCK]);
      }
    }
    await Bun.sleep(LOOK_AGAIN_MS);
  }
}

/** A hash in pages. One that takes its time with each keeps the lock meanwhile. */
async function* pagesOf(run: Run, key: string): AsyncGenerator<[field: string, value: string][]> {
  let cursor = "0";
  do {
    await run("PEXPIRE", [LOCK, String(LOCK_MS)]);
    const answer = await run("HSCAN", [key, cursor, "COUNT", String(PAGE_SIZE)]);
    const [next, flat] = answer as [string, string[]];
    cursor = next;
    yield Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? "", flat[2 * i + 1] ?? ""]);
  } while (cursor !== "0");
}

/** Nothing, of what cannot be read: it expires at once. */
function objectOf(json: string): Kept {
  try {
    return Object(JSON.parse(json));
  } catch {
    return {};
  }
}
