import { systemClock, systemRandom } from "../../../src/clock.ts";
import { DAY } from "../../../src/option/values.ts";
import { createProviderKeys, SIGNS_MS } from "../../../src/provider/signing-keys.ts";
import { createKeys } from "../../../src/secret/keys.ts";
import { createMemoryStore } from "../../../src/store/memory.ts";
import type { Kind } from "../../../src/store/records.ts";
import { openSqliteStore } from "../../../src/store/sqlite.ts";
import { testClock } from "../../support/clock.ts";
import { SILENT } from "../../support/silent.ts";

const KEYS: Kind<{ readonly alg: string; readonly signsFrom: number }> = {
  name: "provider_key",
  order: "signsFrom",
};

/**
 * Gives a gateway new keys that sign from now on, which it would else have after months and publish days before: made by its own code,
 * over as many months as it takes on a clock that is moved.
 * @param path of its database
 */
export async function addKeys(path: string, sessionKey: Uint8Array): Promise<void> {
  const secrets = {
    ...{ sessionKey, sessionKeyPrevious: undefined },
    ...{ jwtSecret: new Uint8Array(32), jwtSecretPrevious: undefined },
  };
  const there = openSqliteStore({ path, clock: systemClock, log: SILENT });
  try {
    const kept = there.records(KEYS);
    const generation =
      (await kept.find({ most: 100 })).filter(({ record }) => record.alg === "RS256").length + 1;
    const clock = testClock(Date.now() - (generation - 1) * SIGNS_MS);
    const store = createMemoryStore({ clock });
    const keys = createProviderKeys({ store, clock, keys: createKeys(secrets), random: systemRandom });
    for (let made = 1; made <= generation; made++) {
      await keys.published();
      clock.advance(made === 1 ? SIGNS_MS - DAY * 2 : SIGNS_MS);
    }
    for (const alg of ["RS256", "ES256"]) {
      const id = `${alg} ${generation}`;
      const seen = await store.records(KEYS).get(id);
      if (seen === undefined) throw new Error(`no key ${id} was made`);
      await kept.add(id, seen.record, Date.now() + SIGNS_MS);
    }
  } finally {
    await there.close();
  }
}
