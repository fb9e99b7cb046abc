import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { exchange } from "../support/raw.ts";
import { type Application, startApplication } from "./application.ts";
import { startLoad } from "./load.ts";
import { openEvents, openSocket } from "./long.ts";
import { openStage, type Stage, until } from "./stage.ts";

/** SIGHUP where `routes.toml` names several applications: all of a new file or nothing, and nobody's connection is lost. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

let application: Application;
beforeAll(() => {
  application = startApplication();
});
afterAll(() => application.stop());

/** Two applications, whose answers say which version of the file is in force. */
const routes = (version: string, lab = '"ada@example.org", "eve@example.org"') => `
  [defaults]
  set_response_headers = { X-Version = "${version}" }

  [[routes]]
  name = "main"
  target = "${application.url}"
  allow = ["ada@example.org", "eve@example.org"]

  [[routes]]
  name = "lab"
  path = "/lab"
  strip_path = true
  target = "${application.url}"
  allow = [${lab}]
`;

async function openRoutes(
  workers: number,
): Promise<{ stage: Stage; write(toml: string): void } & AsyncDisposable> {
  const path = join(process.env.TMPDIR ?? "/tmp", `runegate-routes-${crypto.randomUUID()}.toml`);
  const write = (toml: string) => writeFileSync(path, toml, { mode: 0o600 });
  write(routes("one"));
  const options = { RUNEGATE_TARGET_SERVICE: "", RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ROUTES: path };
  const stage = await openStage({ workers, options });
  return {
    stage,
    write,
    async [Symbol.asyncDispose]() {
      await stage[Symbol.asyncDispose]();
      await Bun.file(path).delete();
    },
  };
}

const get = ({ port }: Pick<Stage, "port">, path: string, cookie: string) =>
  exchange(port, `GET ${path}`, [`Host: 127.0.0.1:${port}`, `Cookie: ${cookie}`]);

async function versions({ port }: Stage, cookie: string): Promise<Set<string>> {
  const heads = await Promise.all(
    // Connections of their own, so that each of the processes gets some.
    Array.from({ length: 24 }, () => get({ port }, "/lab/", cookie)),
  );
  return new Set(heads.map((head) => `${head.status} ${head.one("x-version")}`));
}

describe.each([1, 2])("with %d processes", (workers) => {
  test.concurrent("C11: a broken file changes nothing, a good one changes the routes, and no connection is lost", async () => {
    await using opened = await openRoutes(workers);
    const { stage, write } = opened;
    const cookie = await stage.signIn();
    const socket = await openSocket(stage, cookie, "/lab");
    const load = { ...stage, path: "/lab/", cookie, perSecond: 400 };
    const kept = startLoad({ ...load, connections: "kept" });
    const fresh = startLoad({ ...load, connections: "fresh" });

    for (const broken of [
      `${routes("two")}\n[[routes]]\nname = "lab"\ntarget = "http://127.0.0.1:1"`,
      routes("two").replace("strip_path", "strip_paht"),
      "[[routes",
      "",
    ]) {
      write(broken);
      stage.main.signal("SIGHUP");
      await stage.says(/routes[^\n]*\.toml[^\n]*(?:\n[^\n]*)*not reloaded/);
      expect(await versions(stage, cookie)).toEqual(new Set(["200 one"]));
    }

    write(
      `${routes("two")}\n[[routes]]\nname = "new"\npath = "/new"\ntarget = "${application.url}"\nmethods = ["PUT"]\nallow = ["ada@example.org"]`,
    );
    expect((await get(stage, "/new/x", cookie)).status).not.toBe(405);
    stage.main.signal("SIGHUP");
    await stage.says(/ reloaded /);
    expect(await versions(stage, cookie)).toEqual(new Set(["200 two"]));
    expect((await get(stage, "/new/x", cookie)).status).toBe(405);
    expect(await socket.echo("still here")).toBe("still here");
    socket.close();
    for (const { perSecond, ...result } of await Promise.all([kept.stop(), fresh.stop()]))
      expect(result).toEqual({ answered: expect.any(Number), errors: [] });
  });

  test.concurrent("whoever is taken off an application loses what is open there within 5 s, and nothing else", async () => {
    await using opened = await openRoutes(workers);
    const { stage, write } = opened;
    const [eve, ada] = [await stage.signIn("eve@example.org"), await stage.signIn("ada@example.org")];
    const hers = {
      socket: await openSocket(stage, eve, "/lab"),
      events: await openEvents(stage, eve, "/lab"),
      elsewhere: await openSocket(stage, eve),
    };
    const his = await openSocket(stage, ada, "/lab");
    write(routes("two", '"ada@example.org"'));
    stage.main.signal("SIGHUP");
    await stage.says(/ reloaded /);
    const begun = performance.now();
    expect(await hers.socket.closed).toBe(1008);
    await hers.events.ended;
    expect(performance.now() - begun).toBeLessThan(5000);
    expect((await get(stage, "/lab/", eve)).status).toBe(403);
    expect(await hers.elsewhere.echo("here")).toBe("here");
    expect(await his.echo("here")).toBe("here");
    hers.elsewhere.close();
    his.close();
  });

  test.concurrent("what the command line closes is closed in every process within seconds, and what was open there ends", async () => {
    await using opened = await openRoutes(workers);
    const { stage } = opened;
    const cookie = await stage.signIn();
    const [socket, elsewhere] = [await openSocket(stage, cookie, "/lab"), await openSocket(stage, cookie)];
    expect((await stage.command("routes", "down", "lab")).code).toBe(0);
    await until("it is closed everywhere", async () => {
      const seen = await versions(stage, cookie);
      return seen.size === 1 && seen.has("503 undefined");
    });
    expect(await socket.closed).toBe(1008);
    expect(await elsewhere.echo("here")).toBe("here");
    elsewhere.close();
    expect((await stage.command("routes", "up", "lab")).code).toBe(0);
    await until("it is open everywhere", async () => {
      const seen = await versions(stage, cookie);
      return seen.size === 1 && seen.has("200 one");
    });
  });
});
