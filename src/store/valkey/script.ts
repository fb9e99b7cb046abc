import { ValkeyRefusal } from "./refusal.ts";

/** Sends one command. @throws {StoreUnavailable} */
export type Run = (command: string, args: string[]) => Promise<unknown>;

/** A Lua script that the server runs as one step. All its keys are in `KEYS`. */
export type Script = { readonly source: string; readonly sha1: string };

export function script(source: string): Script {
  return { source, sha1: new Bun.CryptoHasher("sha1", source).digest("hex") };
}

/**
 * Runs a script by its hash: one round trip, except the first time after the server's start.
 * @throws {StoreUnavailable}
 */
export async function runScript(
  run: Run,
  { source, sha1 }: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  const rest = [String(keys.length), ...keys, ...args.map(String)];
  try {
    return await run("EVALSHA", [sha1, ...rest]);
  } catch (error) {
    if (!(error instanceof ValkeyRefusal && error.word === "NOSCRIPT")) throw error;
    return run("EVAL", [source, ...rest]);
  }
}

/**
 * Lua: sees that a key lives for at least so many milliseconds. That only frees memory where nobody comes any more; what is
 * over is decided by the times kept inside.
 */
export const KEEP = `
local function keep(key, ms)
  if redis.call("PTTL", key) < tonumber(ms) then redis.call("PEXPIRE", key, ms) end
end
`;

/** How much longer than needed keys are kept, in milliseconds: a gateway's clock may be set back. */
export const MARGIN_MS = 24 * 60 * 60 * 1000;
