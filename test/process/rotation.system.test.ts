import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnvFile } from "../../src/config/env-file.ts";
import { DAY, HOUR } from "../../src/option/values.ts";
import { needs } from "../support/needs.ts";
import { startProcess } from "../support/process.ts";
import { startValkey } from "../support/valkey.ts";
import { openStage, type Stage, type StageSettings } from "./stage.ts";

/** `runegate secrets rotate` from beginning to end, in real processes whose clock is moved: nobody is signed out, no key dies. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(120_000);

const redis = needs("redis-server");
const valkey = redis === undefined ? undefined : await startValkey(redis);
const folders: string[] = [];
afterAll(() => {
  valkey?.stop();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const MOVED = [
  process.execPath,
  "--preload",
  join(import.meta.dir, "moved-clock.ts"),
  join(import.meta.dir, "../../src/main.ts"),
];

type Machine = Stage & {
  /** A command of the command line, by the same clock. */
  run(...args: string[]): Promise<{ readonly code: number; readonly output: string }>;
  /** What is in the env file. */
  variables(): ReadonlyMap<string, string>;
  readonly file: string;
};

/** Machines with one clock, which `advance` moves. */
function machines() {
  const folder = mkdtempSync(join(tmpdir(), "runegate-clock-"));
  folders.push(folder);
  const file = join(folder, "ahead");
  let ahead = 0;
  function advance(milliseconds: number): void {
    ahead += milliseconds;
    // At once: a process that reads meanwhile must not find the file empty.
    writeFileSync(`${file}.new`, String(ahead));
    renameSync(`${file}.new`, file);
  }
  advance(0);
  async function open(settings: StageSettings): Promise<Machine> {
    const stage = await openStage({
      ...settings,
      env: { MOVED_CLOCK: file },
      command: [...MOVED, "serve"],
      options: {
        RUNEGATE_JWT_SECRET: "j".repeat(64),
        RUNEGATE_SESSION_KEY: "5e".repeat(64),
        RUNEGATE_API_KEYS: "true",
        RUNEGATE_API_KEY_MAX_TTL: "365d",
        RUNEGATE_SESSION_IDLE: "14d",
        ...settings.options,
      },
    });
    const envFile = join(stage.directory, "runegate.env");
    return Object.assign(stage, {
      file: envFile,
      variables: () => {
        const { entries } = parseEnvFile(readFileSync(envFile, "utf8"), "f");
        return new Map([...entries].map(([name, { value }]) => [name, value]));
      },
      async run(...args: string[]) {
        const ran = startProcess([...MOVED, ...args], stage.env, stage.directory);
        const code = await ran.exited;
        return { code, output: ran.output() };
      },
    });
  }
  return { open, advance };
}

/** What requests on connections of their own are answered, which come to every worker. */
async function statuses({ url }: Stage, headers: Record<string, string>): Promise<number[]> {
  const all = new Set<number>();
  for (let i = 0; i < 24; i++) {
    const { status } = await fetch(`${url}/`, {
      headers: { ...headers, Connection: "close" },
      redirect: "manual",
    });
    all.add(status);
  }
  return [...all];
}

const shown = (cookie: string) => ({ Cookie: cookie });
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

async function makeKey(machine: Machine): Promise<string> {
  const { output } = await machine.run("keys", "create", "--owner", "ada@example.org", "--expires", "300d");
  return /rg_\w+/.exec(output)?.[0] ?? output;
}

test.each([1, 2])("the whole arc, with %d processes", async (workers) => {
  const { open, advance } = machines();
  await using stage = await open({ workers, sqlite: true });
  const before = readFileSync(stage.file, "utf8");
  const old = stage.variables();
  const session = await stage.signIn();
  const mailed = await stage.askForLink("bob@example.org");
  const unused = await makeKey(stage);

  const rotated = await stage.run("secrets", "rotate");
  for (const line of [
    / event=secrets_changed by=operator [^\n]*RUNEGATE_JWT_SECRET, RUNEGATE_SESSION_KEY/,
    / reloaded /,
    / sealed API keys under the new session key /,
  ])
    await stage.main.waitFor(line);
  const now = stage.variables();
  expect(rotated.output).toMatch(
    /New: RUNEGATE_JWT_SECRET, RUNEGATE_SESSION_KEY\..*\nThe running instance goes on with that\.\nThey may go at \d{4}-.*Z: runegate/,
  );
  expect(rotated.code).toBe(0);
  for (const name of ["RUNEGATE_JWT_SECRET", "RUNEGATE_SESSION_KEY"]) {
    expect(now.get(`${name}_PREVIOUS`)).toBe(old.get(name) ?? "");
    expect(now.get(name)).not.toBe(old.get(name));
    expect(rotated.output + stage.main.output()).not.toContain(now.get(name) ?? "");
  }
  // What was there before is as good as it was, on every worker.
  expect(await statuses(stage, shown(session))).toEqual([200]);
  const opened = await fetch(mailed.link, { redirect: "manual", headers: { Cookie: mailed.cookie } });
  expect(opened.status).toBe(302);

  // One at a time, and not before its time.
  const again = await stage.run("secrets", "rotate");
  expect([again.code, again.output]).toEqual([
    1,
    expect.stringContaining("A rotation is under way") as string,
  ]);
  const early = await stage.run("secrets", "rotate", "--finish");
  expect([early.code, early.output]).toEqual([1, expect.stringContaining("Too early") as string]);
  expect(stage.variables()).toEqual(now);

  advance(13 * DAY);
  expect(await statuses(stage, shown(session))).toEqual([200]);
  const later = await stage.signIn("eve@example.org");
  advance(DAY + HOUR);
  // It has ended as it would have.
  expect(await statuses(stage, shown(session))).toEqual([401]);
  stage.main.signal("SIGHUP");
  await stage.says(/ WARN [^\n]*can go: runegate secrets rotate --finish/);

  const finished = await stage.run("secrets", "rotate", "--finish");
  expect([finished.code, finished.output]).toEqual([0, expect.stringContaining("are gone") as string]);
  const kept = [...old.keys()].filter((name) => !/SECRET|SESSION_KEY/.test(name));
  expect([...stage.variables().keys()].sort()).toEqual([...old.keys()].sort());
  expect(kept.map((name) => stage.variables().get(name))).toEqual(kept.map((name) => old.get(name)));
  expect(readFileSync(stage.file, "utf8").split("\n").length).toBe(before.split("\n").length);
  expect(await statuses(stage, shown(later))).toEqual([200]);
  // Never used before.
  expect(await statuses(stage, bearer(unused))).toEqual([200]);
  const nothing = await stage.run("secrets", "rotate", "--finish");
  expect([nothing.code, nothing.output]).toEqual([
    1,
    expect.stringContaining("no secrets before these") as string,
  ]);
  // Whatever is not ours after that is refused as ever.
  const second = await stage.run("secrets", "rotate");
  expect(second.code).toBe(0);
  const forced = await stage.run("secrets", "rotate", "--finish", "--force");
  expect(forced.code).toBe(0);
  expect(await statuses(stage, shown(later))).toEqual([401]);
  expect(await statuses(stage, bearer(unused))).toEqual([200]);
  expect(stage.workers()).toHaveLength(workers === 1 ? 0 : workers);
});

test.if(valkey !== undefined)("two machines with one Valkey, one after the other", async () => {
  const { open, advance } = machines();
  const options = { RUNEGATE_STORE: valkey?.url ?? "" };
  await using a = await open({ options });
  await using b = await open({ options, workers: 2 });
  const both = [a, b];
  const good: string[] = [await a.signIn(), await b.signIn("bob@example.org")];
  const keys = [await makeKey(a)];
  async function nobodyIsSignedOut(): Promise<void> {
    for (const machine of both) {
      for (const cookie of good) expect(await statuses(machine, shown(cookie))).toEqual([200]);
      for (const key of keys) expect(await statuses(machine, bearer(key))).toEqual([200]);
    }
  }
  /** People and programs come to both machines, whatever these have by now. */
  async function goOn(who: string): Promise<void> {
    good.push(await a.signIn(`a-${who}@example.org`), await b.signIn(`b-${who}@example.org`));
    keys.push(await makeKey(a), await makeKey(b));
    await nobodyIsSignedOut();
  }

  const announced = await a.run("secrets", "rotate");
  expect([announced.code, announced.output]).toEqual([0, expect.stringContaining("Announced") as string]);
  await a.says(/ the next secrets are accepted/);
  const next = [...a.variables()].filter(([name]) => name.endsWith("_NEXT"));
  expect(next.map(([name]) => name).sort()).toEqual([
    "RUNEGATE_JWT_SECRET_NEXT",
    "RUNEGATE_SESSION_KEY_NEXT",
  ]);
  await goOn("announced");
  expect((await a.run("secrets", "rotate", "--finish")).output).toContain("A rotation is announced");

  b.configure(Object.fromEntries(next));
  b.main.signal("SIGHUP");
  await b.says(/ reloaded /);
  await goOn("copied");

  expect((await a.run("secrets", "rotate")).output).toContain("New: ");
  await a.says(/ sealed API keys under the new session key /);
  await goOn("a-rotated");

  advance(DAY);
  await goOn("meanwhile");
  expect((await b.run("secrets", "rotate")).output).toContain("New: ");
  await b.says(/ sealed API keys under the new session key /);
  await goOn("both-rotated");
  for (const name of ["RUNEGATE_JWT_SECRET", "RUNEGATE_SESSION_KEY"]) {
    expect(a.variables().get(name)).toBe(b.variables().get(name) ?? "");
    expect([a.variables().has(`${name}_NEXT`), b.variables().has(`${name}_NEXT`)]).toEqual([false, false]);
  }

  // By its own time it could finish, but the other machine has begun sessions under the old key a day later.
  advance(13 * DAY + HOUR);
  expect((await a.run("secrets", "rotate", "--finish")).output).toMatch(
    /still needed: \d+ sessions until \d{4}-/,
  );
  good.splice(0);
  await goOn("late");
  advance(DAY);
  for (const machine of both) {
    const { code, output } = await machine.run("secrets", "rotate", "--finish");
    expect([code, output]).toEqual([0, expect.stringContaining("are gone") as string]);
    await nobodyIsSignedOut();
  }
});

test("an instance that does not run, or does not take the configuration, is said to be so", async () => {
  const { open } = machines();
  await using stage = await open({ sqlite: true, options: { RUNEGATE_EMAIL_CONFIG: "" } });
  const email = join(stage.directory, "email.toml");
  writeFileSync(email, "what\n", { mode: 0o600 });
  stage.configure({ RUNEGATE_EMAIL_CONFIG: email });
  const refused = await stage.run("secrets", "rotate");
  expect(refused.code).toBe(1);
  expect(refused.output).toContain("has not reloaded, and goes on as before");
  // It has the old ones still, so they must not go.
  const finish = await stage.run("secrets", "rotate", "--finish");
  expect([finish.code, finish.output]).toEqual([1, expect.stringContaining("Too early") as string]);
  stage.configure({ RUNEGATE_EMAIL_CONFIG: "" });
  stage.main.signal("SIGTERM");
  await stage.main.exited;
  const gone = await stage.run("secrets", "rotate");
  expect([gone.code, gone.output]).toEqual([0, expect.stringContaining("No instance runs here") as string]);
});
