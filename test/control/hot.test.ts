import { expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dial, readResponse, requestHead } from "../support/raw.ts";
import {
  environment,
  freePort,
  isSignedIn,
  REPOSITORY,
  run,
  runegate,
  signInWith,
  temporaryPlace,
} from "./support.ts";

/** `bun --hot src/main.ts`, as a developer runs it, on a copy of the sources that the test may edit. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(30_000);

test("a saved file is served without dropping the port, the sessions or the way to reach it", async () => {
  using place = temporaryPlace();
  for (const part of ["src", "static", "deploy", "package.json"])
    cpSync(join(REPOSITORY, part), join(place.directory, part), { recursive: true });
  symlinkSync(join(REPOSITORY, "node_modules"), join(place.directory, "node_modules"));
  const port = await freePort();
  const env = environment(place, port);
  const gateway = await run(["--hot", "src/main.ts"], env, place.directory);
  let dialing = true;
  const refused: unknown[] = [];
  let answered = 0;
  const dialer = (async () => {
    while (dialing) {
      try {
        const wire = await dial(port);
        await wire.write(requestHead("GET /_runegate/health", ["Connection: close"]));
        if ((await readResponse(wire)).status === 200) answered++;
        wire.destroy();
      } catch (error) {
        refused.push(error);
      }
      await Bun.sleep(1);
    }
  })();
  try {
    const link = (await runegate(["link", "ada@example.org"], env, place.directory)).out;
    const cookie = await signInWith(link);
    // A link that was out before the change works after it, too: secrets drawn at random stay.
    const waiting = (await runegate(["link", "bob@example.org"], env, place.directory)).out;

    const file = join(place.directory, "src/login/logout.ts");
    const source = readFileSync(file, "utf8");
    for (const [turn, words] of ["Gone.", "Gone for good."].entries()) {
      writeFileSync(file, source.replace("Signed out.", words));
      await gateway.saw(" reloaded ", turn + 1);
      const out = await fetch(`${gateway.url}/_runegate/logout`, { method: "POST" });
      expect(await out.json()).toEqual({ message: words });
      expect(await isSignedIn(gateway.url, cookie)).toBe(true);
    }
    expect(await isSignedIn(gateway.url, await signInWith(waiting))).toBe(true);
    expect((await runegate(["sessions", "revoke", "ada@example.org"], env, place.directory)).code).toBe(0);
    expect(await isSignedIn(gateway.url, cookie)).toBe(false);
    expect(gateway.log()).not.toContain("cannot be opened");
    dialing = false;
    await dialer;
    expect(refused).toEqual([]);
    expect(answered).toBeGreaterThan(50);
  } finally {
    dialing = false;
    expect(await gateway.stop()).toBe(0);
  }
});
