import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { exchange } from "../support/raw.ts";
import { openStage, type Stage, type StageSettings, until } from "./stage.ts";

/** `RUNEGATE_WATCH`: what is changed on disk is in force a moment later, all of it or nothing. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

const openWatching = (settings: StageSettings = {}) =>
  openStage({ ...settings, options: { RUNEGATE_WATCH: "true", ...settings.options } });

/** Where a login ends that begins where nobody can return to: the option that these tests change to see what is in force. */
async function landing({ port }: Stage): Promise<string | null> {
  const page = ["Accept: text/html", "Sec-Fetch-Mode: navigate", "Content-Length: 0"];
  const location = (await exchange(port, "POST /", page)).one("location") ?? "";
  return new URL(location, "http://127.0.0.1").searchParams.get("next");
}

const reloads = (stage: Stage) => stage.main.output().match(/ reloaded /g)?.length ?? 0;
const audits = (stage: Stage, event: string) =>
  stage.main
    .output()
    .split("\n")
    .filter((line) => line.includes(` event=${event}`));
/** As long as an event may take to have an effect, and then some: for what is to have none. */
const passing = () => Bun.sleep(600);

/** Whoever writes in place, as `cat >` does. */
function editInPlace({ directory }: Stage, change: (text: string) => string): void {
  const file = join(directory, "runegate.env");
  writeFileSync(file, change(readFileSync(file, "utf8")));
}

const goTo = (path: string) => (text: string) =>
  `${text.replace(/RUNEGATE_LANDING_PATH=.*\n/, "")}RUNEGATE_LANDING_PATH=${path}\n`;

describe.each([1, 2])("with %d processes", (workers) => {
  test("what an editor writes in place or renames over the file is in force, and a mistake changes nothing", async () => {
    await using stage = await openWatching({ workers });
    const cookie = await stage.signIn();
    const before = stage.workers();
    editInPlace(stage, goTo("/in-place"));
    await stage.says(/ reloaded /);
    expect(await landing(stage)).toBe("/in-place");
    // Twice, since a watch of the file would be one of the old file by now.
    for (const page of ["/renamed", "/renamed-again"]) {
      stage.configure({ RUNEGATE_LANDING_PATH: page });
      await stage.says(/ reloaded /);
      expect(await landing(stage)).toBe(page);
    }

    editInPlace(stage, (text) => `${goTo("/broken")(text)}what is this\n`);
    await stage.says(/runegate\.env:\d+ is not of the form NAME=value[^\n]*\n[^\n]*not reloaded/);
    expect(await landing(stage)).toBe("/renamed-again");
    stage.configure({ RUNEGATE_LANDING_PATH: "/mended" });
    await stage.says(/ reloaded /);
    expect(await landing(stage)).toBe("/mended");

    expect((await exchange(stage.port, "GET /", [`Cookie: ${cookie}`])).status).toBe(200);
    expect(stage.workers()).toEqual(before);
    expect(audits(stage, "config_reloaded")).toHaveLength(4);
    expect(audits(stage, "config_reloaded")[0]).toContain("by=watch");
    expect(audits(stage, "config_refused")).toHaveLength(1);
    expect(audits(stage, "config_refused")[0]).toMatch(/by=watch .*runegate\.env:\d+ is not of the form/);
  });
});

test.concurrent("nothing is reloaded where nothing is said differently", async () => {
  await using stage = await openWatching();
  editInPlace(stage, (text) => text);
  stage.configure({});
  rmSync(join(stage.directory, "unrelated"), { force: true });
  writeFileSync(join(stage.directory, "unrelated"), "");
  await passing();
  expect(reloads(stage)).toBe(0);
  expect(stage.main.output()).not.toContain("not reloaded");
});

test.concurrent("two changes in quick succession: the last one is in force; of hundreds, a few are", async () => {
  await using stage = await openWatching();
  stage.configure({ RUNEGATE_LANDING_PATH: "/first" });
  await Bun.sleep(170);
  stage.configure({ RUNEGATE_LANDING_PATH: "/second" });
  await until("the second is in force", async () => (await landing(stage)) === "/second");
  const before = reloads(stage);
  for (let i = 0; i < 300; i++) {
    editInPlace(stage, goTo(`/many-${i}`));
    await Bun.sleep(5);
  }
  await until("the last is in force", async () => (await landing(stage)) === "/many-299");
  await passing();
  // One for each two seconds without rest, and one at the end; machines that are held up rest too.
  const many = reloads(stage) - before;
  expect(many).toBeGreaterThan(0);
  expect(many).toBeLessThan(12);
  expect(stage.complaints().filter((line) => !line.includes("gone or empty"))).toEqual([]);
});

test.concurrent("a file that is gone or empty changes nothing until it is back", async () => {
  await using stage = await openWatching({ options: { RUNEGATE_LANDING_PATH: "/before" } });
  const file = join(stage.directory, "runegate.env");
  const text = readFileSync(file, "utf8");
  writeFileSync(file, "");
  await stage.says(/not reloaded: a file is gone or empty[^\n]*runegate\.env/);
  expect(await landing(stage)).toBe("/before");
  writeFileSync(file, text);
  await passing();
  expect(reloads(stage)).toBe(0);
  rmSync(file);
  await stage.says(/RUNEGATE_ENV_FILE names a file that does not exist[^\n]*\n[^\n]*not reloaded/);
  expect(await landing(stage)).toBe("/before");
  writeFileSync(file, goTo("/back")(text));
  await stage.says(/ reloaded /);
  expect(await landing(stage)).toBe("/back");
});

test.concurrent("a link that is exchanged, as Kubernetes does, and a folder that is replaced", async () => {
  await using stage = await openWatching();
  const folder = join(stage.directory, "config");
  const routes = (page: string) =>
    `[[routes]]\nname = "main"\ntarget = "${stage.application.url}"\nallow = ["anyone"]\nset_response_headers = { X-Page = "${page}" }\n`;
  mkdirSync(join(folder, "..1"), { recursive: true });
  writeFileSync(join(folder, "..1", "routes.toml"), routes("one"));
  symlinkSync("..1", join(folder, "..data"));
  symlinkSync("..data/routes.toml", join(folder, "routes.toml"));
  stage.configure({ RUNEGATE_TARGET_SERVICE: undefined, RUNEGATE_ROUTES: join(folder, "routes.toml") });
  await stage.says(/ reloaded /);
  const cookie = await stage.signIn();
  const page = async () =>
    (await exchange(stage.port, "GET /", [`Host: 127.0.0.1:${stage.port}`, `Cookie: ${cookie}`])).one(
      "x-page",
    );
  expect(await page()).toBe("one");

  for (const [version, name] of [
    [2, "two"],
    [3, "three"],
  ] as const) {
    mkdirSync(join(folder, `..${version}`));
    writeFileSync(join(folder, `..${version}`, "routes.toml"), routes(name));
    symlinkSync(`..${version}`, join(folder, "..tmp"));
    renameSync(join(folder, "..tmp"), join(folder, "..data"));
    rmSync(join(folder, `..${version - 1}`), { recursive: true });
    await stage.says(/ reloaded /);
    expect(await page()).toBe(name);
  }
  expect(readlinkSync(join(folder, "..data"))).toBe("..3");

  for (const name of ["four", "five"]) {
    const next = `${folder}.next`;
    mkdirSync(next);
    writeFileSync(join(next, "routes.toml"), routes(name));
    renameSync(folder, `${folder}.${name}`);
    renameSync(next, folder);
    await stage.says(/ reloaded /);
    expect(await page()).toBe(name);
  }
  // In the folder that took its place, and no longer in the one that was there.
  appendFileSync(join(folder, "routes.toml"), '[[routes]]\nname = "main"\n');
  await stage.says(/routes\.toml[^\n]*\n[^\n]*not reloaded/);
  writeFileSync(join(folder, "routes.toml"), routes("six"));
  await stage.says(/ reloaded /);
  expect(await page()).toBe("six");
  const count = reloads(stage);
  writeFileSync(join(`${folder}.five`, "routes.toml"), routes("seven"));
  await passing();
  expect([await page(), reloads(stage)]).toEqual(["six", count]);
});

test.concurrent("files that are named are followed too, and are let go of when they no longer are", async () => {
  await using stage = await openWatching();
  const secret = join(stage.directory, "jwt");
  writeFileSync(secret, "a".repeat(64), { mode: 0o600 });
  stage.configure({ RUNEGATE_JWT_SECRET_FILE: secret });
  await stage.says(/ reloaded /);
  writeFileSync(secret, "b".repeat(64));
  await stage.says(/ reloaded /);
  expect(audits(stage, "secrets_changed").at(-1)).toMatch(
    /by=watch secrets="RUNEGATE_JWT_SECRET \(the one before is no longer accepted\)"/,
  );
  expect(stage.main.output()).not.toContain("bbbb");
  writeFileSync(secret, "short");
  await stage.says(/RUNEGATE_JWT_SECRET[^\n]*too short[^\n]*\n[^\n]*not reloaded/);
  stage.configure({ RUNEGATE_JWT_SECRET_FILE: undefined, RUNEGATE_JWT_SECRET: "c".repeat(64) });
  await stage.says(/ reloaded /);
  const count = reloads(stage);
  writeFileSync(secret, "d".repeat(64));
  await passing();
  expect(reloads(stage)).toBe(count);
});

test.concurrent("it is switched on and off by a reload, and is off unless it is said", async () => {
  await using stage = await openStage();
  stage.configure({ RUNEGATE_LANDING_PATH: "/unseen" });
  await passing();
  expect(reloads(stage)).toBe(0);
  stage.configure({ RUNEGATE_WATCH: "true" });
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
  stage.configure({ RUNEGATE_WATCH: "false", RUNEGATE_LANDING_PATH: "/seen" });
  await stage.says(/ reloaded /);
  expect(await landing(stage)).toBe("/seen");
  stage.configure({ RUNEGATE_LANDING_PATH: "/unseen" });
  await passing();
  expect(await landing(stage)).toBe("/seen");
});
