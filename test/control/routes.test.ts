import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import {
  type Environment,
  environment,
  freePort,
  type Place,
  REPOSITORY,
  run,
  runegate,
  signInWith,
  temporaryPlace,
} from "./support.ts";

/** The command line where `routes.toml` says who may use what: with an instance that runs, and on its store without. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(30_000);

let place: Place;
let env: Environment;
let upstream: Upstream;

const cli = (...args: string[]) => runegate(args, env, place.directory);
const listed = async () =>
  (JSON.parse((await cli("routes", "--json")).out) as { name: string; closed: string | null }[]).map(
    ({ name, closed }) => [name, closed],
  );

beforeAll(async () => {
  upstream = await startUpstream();
  place = temporaryPlace();
  const file = join(place.directory, "routes.toml");
  await Bun.write(
    file,
    `[[routes]]
    name = "lab"
    target = "${upstream.url}"
    allow = ["carol@example.org"]

    [[routes]]
    name = "wiki"
    host = "*.wiki.example.org"
    target = "${upstream.url}/wiki"
    maintenance = "Moving house."`,
  );
  env = environment(place, await freePort(), {
    RUNEGATE_ROUTES: file,
    RUNEGATE_STORE: `sqlite:${join(place.directory, "state.db")}`,
    RUNEGATE_SESSION_KEY: "5e".repeat(64),
  });
});
afterAll(() => {
  upstream.stop();
  place[Symbol.dispose]();
});

test("before the first start, the list is of the configuration", async () => {
  expect(await listed()).toEqual([
    ["lab", null],
    ["wiki", "Moving house."],
  ]);
  expect((await cli("routes", "down", "lab")).code).toBe(1);
});

test("closed by one word and opened by another, with an instance and without, and over restarts", async () => {
  const start = () => run([join(REPOSITORY, "src/main.ts")], env, place.directory);
  const gateway = await start();
  // Whom only a route names may have a link.
  const cookie = await signInWith((await cli("link", "carol@example.org")).out);
  const status = async () => (await fetch(`${gateway.url}/x`, { headers: { Cookie: cookie } })).status;
  expect(await status()).toBe(200);
  expect(await cli("routes", "down", "lab", "--message", "Back soon.")).toEqual({
    code: 0,
    out: "lab is closed; `runegate routes up lab` opens it again.",
    err: "",
  });
  expect(await status()).toBe(503);
  expect((await cli("routes", "down", "lab")).err).toBe("lab is closed already: Back soon.");
  expect((await cli("routes", "down", "lap")).err).toBe("There is no application lap. Did you mean lab?");
  expect((await cli("routes", "up", "wiki")).err).toBe("wiki is closed by maintenance in routes.toml.");
  expect((await cli("routes")).out.split("\n")[1]).toMatch(
    new RegExp(`^lab +127\\.0\\.0\\.1/ +${upstream.url} +Back soon\\.$`),
  );
  expect(await gateway.stop()).toBe(0);
  expect(gateway.log()).toMatch(/route_closed.*route=lab/);

  expect((await listed())[0]).toEqual(["lab", "Back soon."]);
  const again = await start();
  try {
    expect((await fetch(`${again.url}/x`, { headers: { Cookie: cookie } })).status).toBe(503);
  } finally {
    expect(await again.stop()).toBe(0);
  }
  const opened = await cli("routes", "up", "lab", "--json");
  expect(opened.out).toBe('{"name":"lab","closed":false}');
  expect((await cli("routes", "up", "lab")).err).toBe("lab is open.");
  expect((await listed())[0]).toEqual(["lab", null]);
});

test("what an administrator wrote does nothing to the terminal that it is shown on", async () => {
  await cli("routes", "down", "lab", "--message", "\u001b]0;evil\u0007\u001b[2JSoon\u202e\nwiki  is open");
  try {
    const shown = [(await cli("routes")).out, (await cli("routes", "down", "lab")).err];
    for (const text of shown) expect(text).toContain("\\u001b]0;evil\\u0007\\u001b[2JSoon\\u202e\\u000awiki");
    expect(shown.join("").replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
  } finally {
    await cli("routes", "up", "lab");
  }
});

test("in production, where only routes name anybody, every command does its work", async () => {
  const only = {
    ...env,
    RUNEGATE_ENV: "production",
    RUNEGATE_BASE_URL: "https://app.example.org",
    RUNEGATE_ALLOWED_EMAILS: "",
    // Wrong, and of no concern to these.
    RUNEGATE_EMAIL_CONFIG: join(place.directory, "nowhere.toml"),
    RUNEGATE_ROUTES: join(place.directory, "only.toml"),
  };
  await Bun.write(
    only.RUNEGATE_ROUTES,
    `[[routes]]\nname = "lab"\ntarget = "${upstream.url}"\nallow = ["carol@example.org"]`,
  );
  const command = (...args: string[]) => runegate(args, only, place.directory);
  for (const args of [["sessions"], ["users"], ["routes"], ["backup", join(place.directory, "copy.db")]])
    expect([args[0], (await command(...args)).code]).toEqual([args[0], 0]);
  expect((await command("token", "a.b.c")).err).not.toContain("nobody may sign in");
  expect((await command("config", "--changed")).err).not.toContain("nobody may sign in");
  const link = await command("link", "carol@example.org");
  expect(link.err).toContain("No running instance");
  expect((await command("link", "eve@example.org")).err).toContain("allow of a route in routes.toml");
});
