import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../clock.ts";
import type { Keys } from "../secret/keys.ts";
import { NONCE_BYTES, seal, unseal } from "../secret/sealed.ts";
import { FOREVER, type Kind, type RecordStore } from "../store/records.ts";
import { readSecret } from "./files.ts";
import type { Pair } from "./pair.ts";
import { pairOf } from "./read-pair.ts";

/** Where the account with an authority and the certificates that it gave are kept. */
export type Shelf = {
  /** The private key of the account, PEM, which is made when it is first asked for. */
  account(): Promise<string>;
  /** Undefined for none, and for what is no pair. @throws {Error} with what is wrong, in words for the operator */
  read(name: string): Promise<Pair | undefined>;
  write(name: string, pair: Pair): Promise<void>;
};

/**
 * In a folder: `account.key`, and for each name `NAME.crt` and `NAME.key`, which nobody else may read.
 * @throws {Error} if there is none and none can be made
 */
export function shelfInFolder(folder: string): Shelf {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const accountFile = join(folder, "account.key");
  const filesOf = (name: string) => {
    // No host has an underscore for its first label.
    const base = join(folder, name.replace("*", "_"));
    return { cert: `${base}.crt`, key: `${base}.key` };
  };

  return {
    async account() {
      if (!existsSync(accountFile)) writeWhole(accountFile, newKey());
      return readSecret(accountFile);
    },
    async read(name) {
      const { cert, key } = filesOf(name);
      if (!existsSync(cert) || !existsSync(key)) return undefined;
      return pairIn(await Bun.file(cert).text(), readSecret(key));
    },
    async write(name, pair) {
      const { cert, key } = filesOf(name);
      // Between the two they are no pair, and whoever reads them then orders another.
      writeWhole(key, pair.key);
      writeWhole(cert, pair.cert);
    },
  };
}

/** Keys are sealed: whoever reads the store can speak for nobody. */
type Kept = { readonly cert: string; readonly key: string };

export const KEPT: Kind<Kept> = { name: "certificate" };
/** No host's name. */
const ACCOUNT = "/account";

/** In the store, for all machines that share it. */
export function shelfInStore(store: RecordStore, keys: Keys, random: Random): Shelf {
  const records = store.records(KEPT);
  const sealing = keys.for("certificate", "session");

  async function read(id: string): Promise<Kept | undefined> {
    const { record } = (await records.get(id)) ?? {};
    if (typeof record?.cert !== "string" || typeof record.key !== "string") return undefined;
    const sealed = Buffer.from(record.key, "base64url");
    const plain =
      unseal(sealing.current, sealed, id) ?? (sealing.previous && unseal(sealing.previous, sealed, id));
    return plain && { cert: record.cert, key: plain.toString() };
  }

  async function write(id: string, { cert, key }: Kept): Promise<void> {
    const sealed = seal(sealing.current, random.bytes(NONCE_BYTES), Buffer.from(key), id);
    const record = { cert, key: sealed.toString("base64url") };
    while (!(await records.add(id, record, FOREVER))) {
      const seen = await records.get(id);
      if (seen !== undefined && (await records.replace(seen, record))) return;
    }
  }

  return {
    async account() {
      const known = await read(ACCOUNT);
      if (known !== undefined) return known.key;
      await write(ACCOUNT, { cert: "", key: newKey() });
      // Another machine's, if both made one.
      return (await read(ACCOUNT))?.key ?? newKey();
    },
    async read(name) {
      const kept = await read(name);
      return kept && pairIn(kept.cert, kept.key);
    },
    write: (name, { cert, key }) => write(name, { cert, key }),
  };
}

function pairIn(cert: string, key: string): Pair | undefined {
  try {
    return pairOf(cert, key);
  } catch {
    return undefined;
  }
}

function writeWhole(file: string, content: string): void {
  writeFileSync(`${file}.new`, content, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}
