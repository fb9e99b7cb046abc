import { expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ListedMail } from "../../src/mail/api.ts";
import { freePort } from "../support/process.ts";
import { startSmtp } from "../support/smtp.ts";
import { openStage, type Stage } from "./stage.ts";

/** `runegate mail` with an instance of several processes: one is asked, others send. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

async function waiting(stage: Stage): Promise<ListedMail[]> {
  const { output } = await stage.command("mail", "list", "--json");
  return JSON.parse(output.trim().split("\n").at(-1) ?? "[]") as ListedMail[];
}

test.each(["sqlite", "memory"])(
  "two workers and %s: mail that fails is listed, sent and dropped",
  async (store) => {
    const port = freePort();
    await using stage = await openStage({ workers: 2, sqlite: store === "sqlite" });
    const email = join(stage.directory, "email.toml");
    writeFileSync(
      email,
      `smtp_host = "127.0.0.1"
smtp_port = ${port}
smtp_tls = "none"
from_address = "login@runegate.test"
body_template = "{login_url} {code}"
`,
      { mode: 0o600 },
    );
    stage.configure({ RUNEGATE_EMAIL_CONFIG: email });
    stage.main.signal("SIGHUP");
    await stage.says(/ reloaded /);
    for (const who of ["ada", "bob"]) {
      await fetch(`${stage.url}/_runegate/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ email: `${who}@example.org` }),
      });
    }
    for (let i = 0; i < 2; i++) await stage.says(/ mail failed, will try again /);
    const [ada, bob] = await waiting(stage);
    expect([ada, bob]).toMatchObject([
      { email: "ada@example.org", kind: "login", last_error: expect.stringContaining("127.0.0.1") },
      { email: "bob@example.org" },
    ]);
    const failed = await stage.command("mail", "test", "carol@example.org");
    expect([failed.code, failed.output]).toEqual([1, expect.stringContaining("What to do: ")]);
    expect((await stage.command("mail", "drop", bob?.id ?? "")).code).toBe(0);
    expect((await waiting(stage)).map((one) => one.email)).toEqual(["ada@example.org"]);

    const smtp = await startSmtp({ port, tls: "none", auth: false });
    // The worker that has it may be trying at this moment: then it is refused, and sent all the same.
    await stage.command("mail", "retry", ada?.id ?? "");
    await stage.says(/ event=mail_sent email=ada@example\.org/);
    const tested = await stage.command("mail", "test", "carol@example.org");
    expect([tested.code, tested.output]).toEqual([
      0,
      expect.stringContaining("took the mail to carol@example.org"),
    ]);
    expect(await waiting(stage)).toEqual([]);
    expect(smtp.messages.flatMap(({ to }) => to)).toEqual(["ada@example.org", "carol@example.org"]);
    await smtp.stop();
  },
);
