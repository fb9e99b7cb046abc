import { expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Front, frontOfEach } from "../process/front.ts";
import { kill, openStage } from "../process/stage.ts";
import { cookieHeader } from "../support/gateway.ts";

/** The last day as administrators see it, whichever process they reach. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

const ROUTES = `[groups]
admins = ["root@example.org"]

[[routes]]
name = "lab"
target = "http://127.0.0.1:9"
allow = ["group:admins"]
`;

type LastDay = { readonly requests: number; readonly logins: number };

test("every worker tells of all of them, of one that was killed too; and the command line tells the same", async () => {
  const file = join(tmpdir(), `runegate-routes-${crypto.randomUUID()}.toml`);
  writeFileSync(file, ROUTES, { mode: 0o600 });
  await using stage = await openStage({
    workers: 2,
    options: { RUNEGATE_ROUTES: file, RUNEGATE_TARGET_SERVICE: "", RUNEGATE_ALLOW_ANY_EMAIL: "false" },
  });
  // By a mail: whoever came by a link that an operator printed is no administrator by that.
  const { link, cookie: asked } = await stage.askForLink("root@example.org");
  const opened = await fetch(link, { headers: { Cookie: asked }, redirect: "manual", keepalive: false });
  const cookie = cookieHeader(opened);
  const host = `Host: ${new URL(stage.url).host}`;
  async function lastDay(front: Front): Promise<LastDay> {
    const answer = await front.ask("GET /_runegate/api/admin/status", [host, `Cookie: ${cookie}`]);
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    return (JSON.parse(answer.body.toString()) as { last_day: LastDay }).last_day;
  }

  const fronts = await frontOfEach(stage);
  const [one, other] = fronts as [Front, Front];
  const before = await lastDay(one);
  expect(before.logins).toBe(1);
  for (let i = 0; i < 5; i++) for (const front of fronts) await front.ask("GET /login", [host]);
  const grown = async (front: Front) => (await lastDay(front)).requests - before.requests;
  // That of `before` has been answered by then.
  expect([await grown(one), await grown(other)]).toEqual([11, 12]);

  kill(one.worker, "SIGKILL");
  await stage.says(/a worker ended, another will be started/);
  expect(await grown(other)).toBe(13);
  const { code, output } = await stage.command("status", "--json");
  const told = JSON.parse(output) as { last_day: LastDay };
  expect([code, told.last_day]).toEqual([0, { ...told.last_day, logins: 1 }]);
  expect(told.last_day.requests - before.requests).toBe(14);
});
