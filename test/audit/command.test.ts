import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  environment,
  freePort,
  type Place,
  REPOSITORY,
  type Running,
  run,
  runegate,
  temporaryPlace,
} from "../control/support.ts";

/** `runegate audit` against a running instance: two processes and a socket. */

setDefaultTimeout(30_000);

let place: Place;
let env: ReturnType<typeof environment>;
let gateway: Running;

beforeAll(async () => {
  place = temporaryPlace();
  env = environment(place, await freePort());
  gateway = await run([join(REPOSITORY, "src/main.ts")], env, place.directory);
});
afterAll(async () => {
  await gateway.stop();
  place[Symbol.dispose]();
});

const audit = (...args: string[]) => runegate(["audit", ...args], env, place.directory);

test("events are listed, exported, and verified from a file", async () => {
  expect((await runegate(["link", "ada@example.org"], env, place.directory)).code).toBe(0);
  const listed = await audit();
  expect(listed.code).toBe(0);
  expect(listed.out).toMatch(/^TIME +EVENT +OUTCOME/);
  expect(listed.out).toMatch(/link_printed +ok +cli +ada@example.org/);
  expect(listed.out).toMatch(/started +ok +system/);
  const found = JSON.parse((await audit("--json", "--email", "ada@example.org", "--since", "1h")).out);
  expect(found).toMatchObject([{ event: "link_printed", actor: { kind: "cli" } }]);
  expect((await audit("list", "--event", "nothing")).out).toBe("No event fits.");

  const exported = await audit("export");
  expect((await audit("export", "--json")).out.split("\n").length).toBeGreaterThan(2);
  const lines = exported.out.split("\n");
  const file = join(place.directory, "audit.ndjson");
  writeFileSync(file, exported.out);
  const right = await audit("verify", file);
  expect(right).toMatchObject({ code: 0, out: expect.stringContaining("none is missing") });
  writeFileSync(file, lines.toSpliced(1, 1).join("\n"));
  expect(await audit("verify", file)).toMatchObject({ code: 1, out: expect.stringMatching(/^Line 2 /) });
  writeFileSync(file, [lines[0]?.replace("started", "stopped"), ...lines.slice(1)].join("\n"));
  expect(JSON.parse((await audit("verify", file, "--json")).out).wrong).toMatchObject({ line: 1 });
  writeFileSync(file, `${lines[0]}\nnonsense\n${lines.slice(1).join("\n")}`);
  expect((await audit("verify", file)).out).toMatch(/^Line 2: it is no event/);
  expect((await audit("verify")).code).toBe(0);
});

test("events are followed as they happen, each once", async () => {
  const child = Bun.spawn(
    [
      process.execPath,
      join(REPOSITORY, "src/main.ts"),
      "audit",
      "follow",
      "--event",
      "link_printed",
      "--json",
    ],
    { cwd: place.directory, env, stdio: ["ignore", "pipe", "inherit"] },
  );
  let text = "";
  const reading = (async () => {
    for await (const piece of child.stdout) text += new TextDecoder().decode(piece);
  })();
  const lines = () => text.split("\n").slice(0, -1);
  // It does not say from when on it looks: links are printed until some of them were seen.
  for (let tries = 0; tries < 20 && lines().length < 2; tries++) {
    await runegate(["link", "bob@example.org"], env, place.directory);
    await Bun.sleep(200);
  }
  child.kill();
  await child.exited;
  await reading;
  const seen = lines().map((line) => JSON.parse(line));
  expect(seen.length).toBeGreaterThanOrEqual(2);
  expect(seen.map(({ event }) => event)).toEqual(seen.map(() => "link_printed"));
  expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
});

test.each([
  [["show"], 'there is no "audit show"'],
  [["export", "file"], "takes no names"],
  [["verify", "--email", "ada@example.org"], "takes no filter"],
  [["--since", "yesterday"], "--since takes a time"],
  [["--limit", "0"], "--limit takes"],
  [["--outcome", "bad"], "--outcome takes ok, refused or failed"],
  [["--client", "home"], "--client takes an IP address"],
  [["export", "--limit", "5"], "--limit is of audit list"],
  [["--heads", "x"], "--heads is of audit verify"],
])("%j is a mistake, and says which", async (args, said) => {
  const { code, err } = await audit(...args);
  expect([code, err]).toEqual([64, expect.stringContaining(said)]);
});

test("what is not there, or is wrong for the API, is said", async () => {
  expect(await audit("verify", "/nonexistent")).toMatchObject({
    ...{ code: 1, err: "runegate audit: /nonexistent cannot be read: ENOENT." },
  });
  expect(await audit("verify", "--heads", "/dev/null")).toMatchObject({
    code: 1,
    err: expect.stringContaining("No head"),
  });
  expect(await audit("--email", "ada")).toMatchObject({ code: 1, err: expect.stringContaining("@") });
});
