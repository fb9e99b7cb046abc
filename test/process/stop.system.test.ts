import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DECIDE, hang, SIGN_IN, startReceiver } from "../hooks/support.ts";
import { postgresPrograms, startPostgres } from "../support/postgres.ts";
import { openStage, until } from "./stage.ts";

/** How long a stop takes at most. `deploy/systemd/runegate.service` says after what time systemd kills. */

setDefaultTimeout(120_000);

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const UNIT = readFileSync(join(import.meta.dir, "../../deploy/systemd/runegate.service"), "utf8");
const KILLED_AFTER_MS = Number(/^TimeoutStopSec=(\d+)s$/m.exec(UNIT)?.[1]) * 1000;

/** Takes connections, and never says a word. */
function startSilent() {
  let taken = 0;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { open: () => void taken++, data() {} },
  });
  closing.push(() => server.stop(true));
  return { port: server.port, taken: () => taken };
}

test.each([1, 2])(
  "with %d processes, where application, hooks, mail server and sinks all hang: before systemd kills, and what was told is kept",
  async (workers) => {
    const directory = mkdtempSync(join(tmpdir(), "runegate-stop-"));
    closing.push(() => rmSync(directory, { recursive: true, force: true }));
    const [mail, sink] = [startSilent(), startSilent()];
    const hook = startReceiver();
    closing.push(() => hook.stop());
    const routes = join(directory, "routes.toml");
    const email = join(directory, "email.toml");
    const spool = join(directory, "spool");

    const blocks =
      hook.block("crm", SIGN_IN) + hook.block("gate", `${DECIDE}\non_error = "allow"\ntimeout = "5s"`);
    writeFileSync(
      email,
      `smtp_host = "127.0.0.1"
       smtp_port = ${mail.port}
       smtp_tls = "none"
       from_address = "login@runegate.test"
       body_template = "{login_url} {code}"`,
      { mode: 0o600 },
    );
    await using stage = await openStage({ workers, sqlite: true });
    writeFileSync(routes, `[[routes]]\nname = "main"\ntarget = "${stage.application.url}"\n${blocks}`, {
      mode: 0o600,
    });
    stage.configure({
      RUNEGATE_TARGET_SERVICE: undefined,
      RUNEGATE_ROUTES: routes,
      RUNEGATE_EMAIL_CONFIG: email,
      RUNEGATE_LOG_SINKS: `http://127.0.0.1:${sink.port}/log`,
      RUNEGATE_AUDIT_SINKS: `http://127.0.0.1:${sink.port}/audit`,
      RUNEGATE_AUDIT_SPOOL: spool,
    });
    stage.main.signal("SIGHUP");
    await stage.says(/ reloaded /);
    const cookie = await stage.signIn();
    hook.answer = hang;
    const ask = (email: string) =>
      fetch(`${stage.url}/_runegate/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ email }),
        keepalive: false,
      });
    await ask("bob@example.org");
    await until("the mail server is asked", () => mail.taken() > 0, 30_000);
    const held = fetch(`${stage.url}/held`, { headers: { Cookie: cookie } }).catch(() => undefined);
    await until("the application is asked", () => stage.application.held.length > 0);
    await stage.signIn("eve@example.org");
    await ask("eve@example.org");

    const began = performance.now();
    stage.main.signal("SIGTERM");
    const code = await stage.main.exited;
    const took = performance.now() - began;
    await held;
    expect(took).toBeLessThan(KILLED_AFTER_MS - 500);
    expect(code).toBe(0);
    const spooled = readdirSync(spool).flatMap((folder) =>
      readdirSync(join(spool, folder)).map((name) => readFileSync(join(spool, folder, name), "utf8")),
    );
    expect(spooled.join("")).toContain('"event":"stopped"');
    const audit = await stage.command("audit", "list", "--json");
    expect(audit.output).toContain('"stopped"');
    expect(audit.output).toContain('"audit_head"');
  },
);

const programs = postgresPrograms();

test.skipIf(programs === undefined).each([1, 2])(
  "with %d processes and a store that hangs: it is not waited for long, once for the audit of each process",
  async (workers) => {
    const postgres = await startPostgres(programs ?? "");
    closing.push(() => postgres.stop());
    const options = {
      RUNEGATE_STORE: postgres.url,
      RUNEGATE_JWT_SECRET: "j".repeat(64),
      RUNEGATE_SESSION_KEY: "5".repeat(128),
      RUNEGATE_DYNAMIC_USERS: "true",
    };
    await using stage = await openStage({ workers, options });
    await stage.signIn();
    await postgres.pause();
    closing.push(() => postgres.resume());
    const began = performance.now();
    stage.main.signal("SIGTERM");
    expect(await stage.main.exited).toBe(0);
    expect(performance.now() - began).toBeLessThan(8_000);
  },
);
