import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Front, frontOfEach } from "../process/front.ts";
import { openStage, type Stage, until } from "../process/stage.ts";
import { readResponse, requestHead } from "../support/raw.ts";
import { authorizePath, basic, CALLBACK, clientBlock, VERIFIER } from "./support.ts";

/** The provider in a process with two workers, as it is started, and as it goes on after SIGHUP. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

const FORM = "Content-Type: application/x-www-form-urlencoded";
const OTHER = clientBlock("other", "", "the secret of another application");

let stage: Stage;
let file: string;
beforeAll(async () => {
  stage = await openStage({ workers: 2 });
  file = join(stage.directory, "clients.toml");
  writeFileSync(file, clientBlock() + OTHER);
  stage.configure({ RUNEGATE_CLIENTS: file });
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
});
afterAll(() => stage[Symbol.asyncDispose]());

async function codeFor(front: Front, cookie: string): Promise<string> {
  const answer = await front.ask(`GET ${authorizePath()}`, [`Cookie: ${cookie}`]);
  return new URL(answer.one("location") ?? "http://none/").searchParams.get("code") ?? "";
}

async function ask(
  { wire }: Front,
  name: string,
  sent: Record<string, string>,
): Promise<{ readonly status: number; readonly body: Record<string, string> }> {
  const body = `${new URLSearchParams(sent)}`;
  const fields = [`Authorization: ${basic().Authorization}`, FORM, `Content-Length: ${body.length}`];
  await wire.write(requestHead(`POST /_runegate/oidc/${name}`, fields) + body);
  const answer = await readResponse(wire, "POST");
  return { status: answer.status, body: JSON.parse(answer.body.toString()) };
}

const redeem = (front: Front, code: string) =>
  ask(front, "token", {
    ...{ grant_type: "authorization_code", code, redirect_uri: CALLBACK, code_verifier: VERIFIER },
  });
const refresh = (front: Front, token: string | undefined) =>
  ask(front, "token", { grant_type: "refresh_token", refresh_token: token ?? "" });
const isActive = async (front: Front, token: string | undefined): Promise<unknown> =>
  (await ask(front, "introspect", { token: token ?? "" })).body.active;

async function fronts(): Promise<[Front, Front]> {
  const [one, other] = await frontOfEach(stage);
  if (one === undefined || other === undefined) throw new Error("there are no two workers");
  return [one, other];
}

test("what one worker begins the other finishes, and reuse at one ends it at both", async () => {
  const [one, other] = await fronts();
  const cookie = await stage.signIn();
  const { status, body } = await redeem(other, await codeFor(one, cookie));
  expect(status).toBe(200);
  expect(await isActive(one, body.access_token)).toBe(true);
  const next = await refresh(one, body.refresh_token);
  expect(next.status).toBe(200);
  expect((await refresh(other, body.refresh_token)).body.error).toBe("invalid_grant");
  for (const front of [one, other]) expect(await isActive(front, next.body.access_token)).toBe(false);
});

test("of two that redeem one code at both workers, at most one gets tokens, and keeps none", async () => {
  const [one, other] = await fronts();
  const cookie = await stage.signIn();
  for (let turn = 0; turn < 10; turn++) {
    const code = await codeFor(one, cookie);
    const answers = await Promise.all([redeem(one, code), redeem(other, code)]);
    const good = answers.filter(({ status }) => status === 200);
    expect(good.length).toBeLessThanOrEqual(1);
    for (const { body } of good) expect(await isActive(other, body.access_token)).toBe(false);
  }
});

test("rotate-keys --compromised at the command line: both workers refuse what was signed, and sign anew", async () => {
  const [one, other] = await fronts();
  const { body } = await redeem(one, await codeFor(one, await stage.signIn()));
  expect((await stage.command("clients", "rotate-keys", "now")).code).toBe(64);
  expect((await stage.command("clients", "--compromised")).code).toBe(64);
  expect(await isActive(other, body.access_token)).toBe(true);
  const { code, output } = await stage.command("clients", "rotate-keys", "--compromised");
  expect([code, output]).toEqual([0, expect.stringContaining("The keys are gone")]);
  for (const front of [one, other])
    await until("the old keys are gone", async () => !(await isActive(front, body.access_token)));
  const next = await refresh(other, body.refresh_token);
  expect(next.status).toBe(200);
  for (const front of [one, other]) expect(await isActive(front, next.body.access_token)).toBe(true);
  const again = await stage.command("clients", "rotate-keys");
  expect([again.code, again.output]).toEqual([0, expect.stringContaining("New keys are published")]);
});

test("SIGHUP with a client taken out: its tokens are dead at both workers", async () => {
  const [one] = await fronts();
  const { body } = await redeem(one, await codeFor(one, await stage.signIn()));
  expect(body.access_token).toBeString();
  writeFileSync(file, OTHER);
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
  for (const front of await fronts()) {
    expect((await refresh(front, body.refresh_token)).body.error).toBe("invalid_client");
    const answer = await front.ask("GET /_runegate/oidc/userinfo", [
      `Authorization: Bearer ${body.access_token}`,
    ]);
    expect(answer.status).toBe(401);
  }
  expect(stage.complaints().filter((line) => !line.includes("client_token_reused"))).toEqual([]);
});
