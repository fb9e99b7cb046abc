import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../observe/message-of.ts";
import { readableByOthers, readTextFile } from "../option/files.ts";
import type { Pair } from "./pair.ts";
import { pairOf } from "./read-pair.ts";

/** Certificates that somebody else keeps in files. */

export type Place = { readonly cert: string; readonly key: string };

/**
 * Where the pairs are: two files; or two folders, which may be one, with `NAME.crt` or `NAME.pem` and `NAME.key`, or with a folder a
 * name that holds `fullchain.pem` and `privkey.pem` as certbot writes them. In alphabetical order.
 * @throws {Error} with what is wrong, naming the path
 */
export function placesOf({ cert, key }: Place): Place[] {
  if (!isFolder(cert)) return [{ cert, key: isFolder(key) ? join(key, "privkey.pem") : key }];
  const found = readdirSync(cert)
    .sort()
    .flatMap((name) => {
      const path = join(cert, name);
      if (isFolder(path)) {
        const pair = {
          cert: join(path, "fullchain.pem"),
          key: join(isFolder(key) ? key : cert, name, "privkey.pem"),
        };
        return isFile(pair.cert) && isFile(pair.key) ? [pair] : [];
      }
      const [, base] = /^(.+)\.(?:crt|pem)$/.exec(name) ?? [];
      const secret = base === undefined ? undefined : join(isFolder(key) ? key : cert, `${base}.key`);
      return secret !== undefined && isFile(secret) ? [{ cert: path, key: secret }] : [];
    });
  if (found.length === 0) throw new Error(`${cert} has no NAME.crt or NAME.pem that has a NAME.key`);
  return found;
}

/** @throws {Error} with what is wrong, naming the path */
export function readPairs(place: Place): Pair[] {
  return placesOf(place).map(({ cert, key }) => {
    const [certificate, secret] = [read(cert).text, readSecret(key)];
    try {
      return pairOf(certificate, secret);
    } catch (error) {
      throw new Error(`${cert}: ${messageOf(error)}`);
    }
  });
}

/** @throws {Error} with what is wrong, naming the path: also where others can read it */
export function readSecret(path: string): string {
  const { text, mode, uid } = read(path);
  const open = readableByOthers(path, mode, uid);
  if (open !== undefined) throw new Error(`${path} ${open.problem}. ${open.remedy}`);
  return text;
}

function read(path: string) {
  const file = readTextFile(path);
  if (file.kind === "missing") throw new Error(`${path} is not there`);
  if (file.kind === "failed") throw new Error(`${file.problem}. ${file.remedy}`);
  return file;
}

const statOf = (path: string) => statSync(path, { throwIfNoEntry: false });
const isFolder = (path: string) => statOf(path)?.isDirectory() === true;
const isFile = (path: string) => statOf(path)?.isFile() === true;
