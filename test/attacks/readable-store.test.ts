import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "../../src/clock.ts";
import { createMailbox } from "../../src/mail/mailbox.ts";
import { backUp } from "../../src/store/sqlite/backup.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { openValkeyStore } from "../../src/store/valkey.ts";
import { openLink, postLogin, redeem, sessionOf } from "../login/support.ts";
import { cookieHeader, startGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey } from "../support/valkey.ts";

setDefaultTimeout(30_000);

/**
 * Whoever can read the store, its files or a copy of them finds nothing there that signs in: not while a mail waits, not after it was
 * sent, and not in what the database has freed and not yet overwritten.
 */

const folder = mkdtempSync(join(tmpdir(), "runegate-readable-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Readable = {
  readonly stores: Store;
  /** Every byte that somebody can read who has got at the store. */
  look(): Promise<Buffer>;
  stop(): Promise<void>;
};

async function sqlite(): Promise<Readable> {
  const place = mkdtempSync(join(folder, "sqlite-"));
  const path = join(place, "state.db");
  let backups = 0;
  return {
    stores: openSqliteStore({ path, clock: systemClock, log: SILENT }),
    async look() {
      backUp(path, `${path}.backup-${backups++}`, systemRandom);
      return Buffer.concat(readdirSync(place).map((name) => readFileSync(join(place, name))));
    },
    async stop() {},
  };
}

async function redis(executable: string): Promise<Readable> {
  const server = await startValkey(executable, { lines: ["rdbcompression no"] });
  return {
    stores: await openValkeyStore({ url: server.url, clock: systemClock, log: SILENT }),
    async look() {
      await server.run("SAVE");
      const { dir } = (await server.run("CONFIG", "GET", "dir")) as { readonly dir: string };
      return readFileSync(join(dir, "dump.rdb"));
    },
    stop: () => server.stop(),
  };
}

const server = needs("redis-server");
const STORES: readonly (readonly [string, () => Promise<Readable>])[] = [
  ["sqlite", sqlite],
  ...(server === undefined ? [] : [["redis", () => redis(server)] as const]),
];

/** As it is, and as it would stand in a mail or in a value that was packed once more. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    secret.replaceAll("=", "=3D"),
    bytes.toString("hex"),
    ...[0, 1, 2].map((skipped) => bytes.subarray(skipped).toString("base64url").slice(0, -2)),
  ];
}

describe.each(STORES)("in %s", (_, open) => {
  const opened: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of opened.splice(0).reverse()) await stop();
  });

  test("there is nothing to sign in with, before, while and after mails are sent and links redeemed", async () => {
    const { stores, look, stop } = await open();
    opened.push(stop, async () => stores.close());
    const mailbox = createMailbox();
    const mayBeSent = Promise.withResolvers<void>();
    const gateway = await startGateway({
      stores,
      mailer: { send: (mail) => mayBeSent.promise.then(() => mailbox.send(mail)) },
    });
    opened.push(() => gateway.stop());

    const people = ["ada@example.org", "bob@example.org", "eve@example.org"];
    const cookies = new Map<string, string>();
    for (const email of people) cookies.set(email, cookieHeader(await postLogin(gateway, { email })));
    const looks = [await look()];
    mayBeSent.resolve();
    await gateway.gateway.outbox.runDue();
    looks.push(await look());

    const secrets = new Set<string>();
    const mails = people.map((email) => mailbox.mails().find(({ to }) => to === email));
    for (const mail of mails) {
      const { link = "", code = "", to = "" } = mail ?? {};
      const token = new URL(link).searchParams.get("token") ?? "";
      const cookie = cookies.get(to) ?? "";
      // The head of a token is the same for all; what it says, and the proof of it, are its own.
      for (const part of token.split(".").slice(1)) secrets.add(part);
      for (const part of cookie
        .slice(cookie.indexOf("=") + 1)
        .split(".")
        .slice(1))
        secrets.add(part);
      secrets.add(code).add(code.replace(" ", ""));
    }
    expect(secrets.size).toBe(3 * 6);

    // One by the link, one by the code; the third is left alone.
    const [byLink, byCode] = mails;
    const token = new URL(byLink?.link ?? "").searchParams.get("token") ?? "";
    const first = await openLink(gateway, token, { Cookie: cookies.get(byLink?.to ?? "") ?? "" });
    const second = await redeem(
      gateway,
      { code: byCode?.code ?? "" },
      { Cookie: cookies.get(byCode?.to ?? "") ?? "" },
    );
    for (const response of [first, second]) {
      const session = sessionOf(response);
      if (session === undefined) throw new Error(`not signed in: ${response.status}`);
      secrets.add(session.slice(session.indexOf("=") + 1));
    }
    looks.push(await look());

    // The looks are at the right place: who waits for a mail is there, and later who is signed in.
    const seenIn = (moment: number) => people.filter((email) => looks[moment]?.includes(email));
    expect(seenIn(0)).toEqual(people);
    expect(seenIn(2)).toEqual(expect.arrayContaining(people.slice(0, 2)));
    const found = [...secrets].flatMap((secret) =>
      spellings(secret).flatMap((spelling) =>
        looks.flatMap((seen, moment) => (seen.includes(spelling) ? [{ moment, spelling }] : [])),
      ),
    );
    expect(found).toEqual([]);
    for (const seen of looks) expect(seen.includes("token=")).toBe(false);
  });
});
