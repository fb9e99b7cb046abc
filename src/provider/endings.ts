import { type Random, systemPause } from "../clock.ts";
import type { House } from "../house.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../option/values.ts";
import type { Seen } from "../store/records.ts";
import { CLIENT_NOT_TOLD } from "./audit.ts";
import type { Ended, Use } from "./records.ts";
import type { Sealed } from "./sealed-records.ts";
import type { ProviderService } from "./service.ts";
import { seconds } from "./tokens.ts";

/** What happens when a session ends: its tokens die, and its clients are told (OpenID Connect Back-Channel Logout 1.0). */
export type Endings = {
  /** @throws {StoreUnavailable} */
  ended(session: string): Promise<void>;
  /** The same of what somebody did at one client, in whatever session (`useOf`). @throws {StoreUnavailable} */
  endedAt(use: string): Promise<void>;
  /** Tells whom there is to tell by now, and waits for their answers. Never rejects. */
  look(): Promise<void>;
  /** Notices sessions that ended and nobody told of. Never rejects. */
  sweep(): Promise<void>;
  /** Does both from time to time. */
  start(): void;
  stop(): Promise<void>;
};

/** Between two tries; after the last it is given up. */
const WAITS = [5 * SECOND, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR] as const;
const KEPT_MS = 2 * DAY;
const TIMEOUT = 10 * SECOND;
/** For so long a try has it to itself. Longer than one can take. */
const CLAIM = 20 * SECOND;
const PARALLEL = 8;
/** Others put some there too, and may end before they are told. */
const LOOK_EVERY = 5 * SECOND;
const SWEEP_EVERY = 5 * MINUTE;
const MOST_SWEPT = 1000;
/** Of one session, or of one person at one client. */
const MOST_ENDED = 10_000;
const STOP_PATIENCE = 5 * SECOND;
/** How long a logout token is good. */
const TOKEN_MS = 2 * MINUTE;
const EVENT = "http://schemas.openid.net/event/backchannel-logout";

export function createEndings(
  house: Pick<House, "fetch" | "sessions" | "audit" | "clock" | "random" | "loggers">,
  service: ProviderService,
): Endings {
  const { sessions, audit, clock, random } = house;
  const { families, uses, ended } = service.records;
  const log = house.loggers("session");
  const underWay = new Set<Promise<void>>();
  /** When those are asked again that do not answer: what there is for them keeps nobody else waiting. */
  const resting = new Map<string, number>();
  let sweptTo = 0;
  const timers: ReturnType<typeof setInterval>[] = [];

  async function tell(session: string): Promise<void> {
    await families.takeAll("session", session);
    await addAll({ session });
  }

  /**
   * Who is to be told is noted first, and the use taken then: what fails between the two is done again by the sweep. Of several
   * processes that hear of one end, the one that comes second finds it noted.
   */
  async function addAll(where: { readonly session: string } | { readonly use: string }): Promise<void> {
    for (const { id, record } of await uses.find({ where, most: MOST_ENDED })) {
      await add(record);
      await uses.take(id);
    }
  }

  async function add({ client, email, session, at }: Use): Promise<void> {
    if (service.clientOf(client)?.backchannelLogoutUri === undefined) return;
    const now = clock.now();
    const one: Ended = {
      ...{ client, sub: await service.subOf(email), sid: service.sidOf(session) },
      ...{ dueAt: now, attempts: 0 },
    };
    await ended.add(`${one.sid} ${client} ${at}`, one, now + KEPT_MS);
  }

  async function claim(): Promise<readonly Seen<Sealed<Ended>>[]> {
    const now = clock.now();
    const due = await ended.find({ until: now, most: PARALLEL - underWay.size });
    const claimed = await Promise.all(
      due.map(async (seen) => {
        const record = { ...seen.record, attempts: seen.record.attempts + 1, dueAt: now + CLAIM };
        return (await ended.replace(seen, record)) ? [seen.id] : [];
      }),
    );
    const mine = await Promise.all(claimed.flat().map((id) => ended.get(id)));
    return mine.filter((one) => one !== undefined);
  }

  async function deliver(seen: Seen<Sealed<Ended>>): Promise<void> {
    const { client: id, attempts } = seen.record;
    const client = service.clientOf(id);
    const uri = client?.backchannelLogoutUri;
    if (client === undefined || uri === undefined) return void (await ended.take(seen.id));
    const rested = resting.get(id);
    if (rested !== undefined && clock.now() < rested) {
      await ended.replace(seen, { ...seen.record, attempts: attempts - 1, dueAt: rested });
      return;
    }
    const reason = await send(uri, await tokenOf(seen, client.algorithm));
    if (reason === undefined) {
      resting.delete(id);
      return void (await ended.take(seen.id));
    }
    const wait = WAITS[attempts - 1];
    if (wait === undefined) {
      await ended.take(seen.id);
      audit(CLIENT_NOT_TOLD, { by: id, n: `${attempts}`, reason });
      return;
    }
    log.warn("a client was not told that a session has ended, will try again", { client: id, reason });
    const dueAt = clock.now() + wait;
    resting.set(id, dueAt);
    await ended.replace(seen, { ...seen.record, dueAt });
  }

  function tokenOf({ record }: Seen<Sealed<Ended>>, alg: "RS256" | "ES256"): Promise<string> {
    const now = clock.now();
    return service.tokens.sign("logout+jwt", alg, {
      ...{ aud: record.client, sub: record.sub, sid: record.sid, jti: drawId(random) },
      ...{ iat: seconds(now), exp: seconds(now + TOKEN_MS), events: { [EVENT]: {} } },
    });
  }

  /** @returns why it was not taken. */
  async function send(uri: string, token: string): Promise<string | undefined> {
    const init: BunFetchRequestInit = {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Runegate" },
      body: `${new URLSearchParams({ logout_token: token })}`,
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT),
    };
    try {
      const response = await house.fetch(uri, init as RequestInit);
      await response.body?.cancel();
      return response.ok ? undefined : `${response.status}`;
    } catch (error) {
      return error instanceof Error && "code" in error ? String(error.code) : "no answer";
    }
  }

  async function look(): Promise<void> {
    try {
      for (let due = await claim(); due.length > 0; due = await claim()) {
        for (const seen of due) {
          const attempt = deliver(seen)
            .catch(logFailure)
            .finally(() => underWay.delete(attempt));
          underWay.add(attempt);
        }
        await Promise.all(underWay);
      }
    } catch (error) {
      logFailure(error);
    }
  }

  const logFailure = (error: unknown) =>
    log.error("clients could not be told that a session has ended", { reason: messageOf(error) });

  async function sweep(): Promise<void> {
    try {
      const all = await uses.find({ from: sweptTo, most: MOST_SWEPT });
      // Those that end later are looked at with the next sweep, and after the last the first again.
      const isWhole = all.length < MOST_SWEPT;
      sweptTo = isWhole ? 0 : Math.max(sweptTo + 1, all.at(-1)?.expiresAt ?? 0);
      for (const session of new Set(all.map(({ record }) => record.session))) {
        if ((await sessions.alive(session, false)) === undefined) await tell(session);
      }
    } catch (error) {
      logFailure(error);
    }
  }

  return {
    async ended(session) {
      await tell(session);
      if (timers.length > 0) await look();
    },
    async endedAt(use) {
      await addAll({ use });
      if (timers.length > 0) await look();
    },
    look,
    sweep,
    start() {
      timers.push(
        setInterval(() => void look(), LOOK_EVERY),
        setInterval(() => void sweep(), SWEEP_EVERY),
      );
      for (const timer of timers) timer.unref();
    },
    async stop() {
      for (const timer of timers.splice(0)) clearInterval(timer);
      await Promise.race([Promise.all(underWay), systemPause(STOP_PATIENCE)]);
    },
  };
}

const drawId = (random: Random) => Buffer.from(random.bytes(16)).toString("base64url");
